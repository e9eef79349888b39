//! A run in a process of its own: one that is killed, or runs out of memory, takes no other with it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::execute::{Options, Outcome};
use crate::experiment::{FrozenRun, Plan, PlannedRun};
use crate::run::{Progress, RunRecord, interrupt};
use crate::{Error, Result};

/// Last lines of a process that are told when it is killed.
const LAST_LINES: usize = 5;

/// The variable by which rayon, which shares out the work of every op, is told its number of threads.
const THREADS: &str = "RAYON_NUM_THREADS";

/// What a process of a run may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Stages at the same time.
    pub stage_jobs: usize,
    /// Threads, where the user does not say how many.
    pub threads: usize,
    /// Which of the processes at work it is, from 0.
    pub worker: usize,
}

/// Carries out a run in a process of its own, whose lines `progress` shows. `folder` is where the run lies.
///
/// # Errors
/// The failure of the run, or how its process was ended.
pub(super) fn execute_apart(
    plan: &Plan,
    run: &PlannedRun,
    folder: &std::path::Path,
    options: &Options,
    share: Share,
    progress: &Progress,
) -> Result<Outcome> {
    let mut child = start(plan, run, options, share)?;
    let last = std::thread::scope(|scope| {
        let lines = child.stderr.take();
        let shown = scope.spawn(|| relay(lines, progress));
        let status = wait(&mut child);
        shown.join().map(|last| (status, last))
    });
    let (status, last) =
        last.map_err(|_| Error::failed("a defect of this program: the lines of a run are lost"))?;
    let status = status?;
    if status.code() == Some(interrupt::EXIT_CODE) {
        return Err(Error::Interrupted);
    }
    if status.success() {
        let record = RunRecord::read(folder)?;
        let record = record.ok_or_else(|| {
            Error::failed(format!("{}: the run left no record", folder.display()))
        })?;
        return Ok(Outcome {
            folder: folder.to_path_buf(),
            was_finished: false,
            made_by: None,
            metrics: record
                .stages
                .into_iter()
                .map(|stage| (stage.id, stage.metrics))
                .collect(),
        });
    }
    if status.code().is_none() {
        // It could not write down that it failed.
        let error = killed(status, &last);
        RunRecord::mark_failed(folder, &error)?;
        return Err(Error::Failed(error));
    }
    let recorded = RunRecord::read(folder)
        .ok()
        .flatten()
        .and_then(|record| record.error);
    let said = || {
        last.back()
            .map(|line| line.trim_start_matches("error: ").to_owned())
    };
    Err(Error::Failed(
        recorded
            .or_else(said)
            .unwrap_or_else(|| killed(status, &last)),
    ))
}

fn start(plan: &Plan, run: &PlannedRun, options: &Options, share: Share) -> Result<Child> {
    let program = std::env::current_exe()
        .map_err(|error| Error::failed(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(&program);
    command
        .arg("point")
        .arg("--results")
        .arg(&options.results)
        .args([
            "--device",
            &options.choice.of_worker(share.worker).to_string(),
        ])
        .args(["--jobs", &share.stage_jobs.to_string()])
        .args(options.extend.then_some("--extend"))
        .arg("--")
        .args(&options.command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if std::env::var_os(THREADS).is_none() {
        command.env(THREADS, share.threads.to_string());
    }
    apart(&mut command);
    let mut child = command.spawn().map_err(|error| {
        Error::failed(format!(
            "{}: cannot start a process for a run: {error}",
            program.display()
        ))
    })?;
    let frozen = serde_json::to_vec(&FrozenRun::new(plan, run))
        .map_err(|error| Error::failed(format!("{}: {error}", run.label)))?;
    if let Some(mut input) = child.stdin.take() {
        // A process that is gone is noticed by how it ended.
        let _ = input.write_all(&frozen);
    }
    Ok(child)
}

/// Ctrl-C in a terminal reaches this process alone, which hands it on once; where this one dies, the system does.
#[cfg(target_os = "linux")]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    // SAFETY: between fork and exec only one system call is made, which takes no memory.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

/// Elsewhere Ctrl-C reaches all processes of the terminal by itself.
#[cfg(not(target_os = "linux"))]
fn apart(_: &mut Command) {}

/// Waits for the process to end, and asks it to when the user wants to stop.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("cannot wait for the process of a run: {error}"))
    };
    let mut asked = false;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        if interrupt::requested() && !asked {
            asked = true;
            interrupt::hand_on(child.id());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Shows the lines of a process, and gives the last ones.
fn relay(lines: Option<impl std::io::Read>, progress: &Progress) -> VecDeque<String> {
    let mut last = VecDeque::new();
    let Some(lines) = lines else {
        return last;
    };
    for line in BufReader::new(lines).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).into_owned();
        // How it ended is told at the end, of all runs together.
        if !line.starts_with("error: ") && !line.starts_with("note: ") {
            progress.line(&line);
        }
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last
}

/// The words for a process that a signal ended.
fn killed(status: ExitStatus, last: &VecDeque<String>) -> String {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let how = match signal {
        Some(9) => {
            "its process was killed (signal 9), as the system does where memory runs out".to_owned()
        }
        Some(signal) => format!("its process was ended by signal {signal}"),
        None => format!("its process ended: {status}"),
    };
    let lines: Vec<&str> = last.iter().map(String::as_str).collect();
    match lines.is_empty() {
        true => how,
        false => format!("{how}; its last lines: {}", lines.join(" | ")),
    }
}
