//! Ctrl-C: the first one asks for a checkpoint, the second one leaves at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::log;
use super::progress::Progress;
use crate::error::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a process that the user interrupted.
pub const EXIT_CODE: i32 = 130;

/// Handles Ctrl-C and the system's request to terminate from now on, with a word between the bars of `progress`. Call
/// once, at the start of the process. A hang-up that the process was started to ignore, as `nohup` does, is ignored.
pub fn install(progress: &Progress) -> Result<()> {
    let progress = progress.root();
    let hang_up = hang_up::is_ignored();
    ctrlc::set_handler(move || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE);
        }
        let line = "interrupted: saving what was done; once more to leave at once";
        progress.print(line);
        log::shown(tracing::Level::WARN, line);
    })
    .map_err(|error| Error::failed(format!("cannot handle Ctrl-C: {error}")))?;
    if hang_up {
        hang_up::ignore();
    }
    Ok(())
}

/// The signal of a terminal that is closed, for which ctrlc installs its handler whatever stood there.
#[cfg(unix)]
mod hang_up {
    pub fn is_ignored() -> bool {
        // SAFETY: an action of zeros is a valid value, and a call without a new action only writes to it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        }
    }

    pub fn ignore() {
        // SAFETY: to ignore a signal runs no code of this program.
        unsafe {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
    }
}

#[cfg(not(unix))]
mod hang_up {
    pub fn is_ignored() -> bool {
        false
    }

    pub fn ignore() {}
}

/// Asks another process to stop, as the user asked this one.
pub fn hand_on(process: u32) {
    #[cfg(target_os = "linux")]
    if let Ok(process) = libc::pid_t::try_from(process) {
        // SAFETY: sending a signal touches no memory of this process. One that has ended meanwhile is not asked.
        unsafe { libc::kill(process, libc::SIGTERM) };
    }
    // Elsewhere Ctrl-C reached it by itself.
    #[cfg(not(target_os = "linux"))]
    let _ = process;
}

/// Whether the user asked to stop. Whoever loops asks often, writes a checkpoint and returns
/// [`Error::Interrupted`].
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// [`Error::Interrupted`] if the user asked to stop.
pub fn check() -> Result<()> {
    if requested() {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    /// The flag and the handler belong to the whole process, so the test has one of its own: this test, started
    /// again with this variable set.
    const CHILD: &str = "RUNNER_TEST_INTERRUPT_CHILD";

    fn child() {
        install(&Progress::hidden()).unwrap();
        println!("\nready");
        while !requested() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(matches!(check(), Err(Error::Interrupted)));
        println!("\nrequested");
        std::thread::sleep(Duration::from_secs(60));
    }

    fn interrupt(child: &Child) {
        let kill = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    #[test]
    fn the_first_interrupt_asks_and_the_second_leaves() {
        if std::env::var_os(CHILD).is_some() {
            return child();
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("run::interrupt::tests::the_first_interrupt_asks_and_the_second_leaves")
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut wait_for = |expected: &str| {
            let found = lines.by_ref().any(|line| line.unwrap() == expected);
            assert!(found, "the process ended before it said {expected:?}");
        };
        wait_for("ready");
        interrupt(&child);
        wait_for("requested");
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(EXIT_CODE));
    }
}
