//! Ctrl-C: the first one asks for a checkpoint, the second one leaves at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a process that the user interrupted.
pub const EXIT_CODE: i32 = 130;

/// Handles Ctrl-C and the system's request to terminate from now on. Call once, at the start of the process.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE);
        }
        // The message is a courtesy: where standard error is closed, the checkpoint matters more.
        let _ = writeln!(
            std::io::stderr(),
            "\ninterrupted: writing a checkpoint; once more to leave at once"
        );
    })
    .map_err(|error| Error::failed(format!("cannot handle Ctrl-C: {error}")))
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
        install().unwrap();
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
