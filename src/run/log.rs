//! Tracing: warnings and more on standard error, everything that a run said in its `log.jsonl`.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::progress::Progress;
use crate::error::{Error, Result};

/// How much standard error gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Warnings too.
    Normal,
    /// What the program does.
    Verbose,
    /// Everything, in the log files too.
    Debug,
}

/// Sends events to standard error, between the bars of `progress`, and to the logs of the runs that are open. Call
/// once, at the start of the process; a second call changes nothing.
pub fn install(verbosity: Verbosity, progress: &Progress) {
    let (terminal_level, file_level) = match verbosity {
        Verbosity::Quiet => (LevelFilter::ERROR, LevelFilter::INFO),
        Verbosity::Normal => (LevelFilter::WARN, LevelFilter::INFO),
        Verbosity::Verbose => (LevelFilter::INFO, LevelFilter::INFO),
        Verbosity::Debug => (LevelFilter::DEBUG, LevelFilter::DEBUG),
    };
    let terminal = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(BesideBars(progress.root()))
        .with_filter(terminal_level);
    let files = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(OpenLogs)
        .with_filter(file_level);
    // Only a second call fails, and the first one's subscriber then stays.
    let _ = tracing_subscriber::registry()
        .with(terminal)
        .with(files)
        .try_init();
}

type Log = Arc<Mutex<File>>;

/// The logs that are open in this process: several where runs go on in parallel.
static OPEN: Mutex<Vec<(u64, Log)>> = Mutex::new(Vec::new());

thread_local! {
    /// The log of the run that this thread works on; 0 for none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

fn open_logs() -> MutexGuard<'static, Vec<(u64, Log)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a run's log open and this thread's events going there.
#[derive(Debug)]
pub struct LogGuard {
    id: u64,
    before: u64,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        open_logs().retain(|(id, _)| *id != self.id);
        CURRENT.set(self.before);
    }
}

/// Opens the log at `path` for appending and sends this thread's events there until the guard is dropped. Events of
/// threads that belong to no run go to all open logs.
pub fn open(path: &Path) -> Result<LogGuard> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))?;
    let mut logs = open_logs();
    let id = logs.iter().map(|(id, _)| *id).max().unwrap_or(0) + 1;
    logs.push((id, Arc::new(Mutex::new(file))));
    let before = CURRENT.replace(id);
    Ok(LogGuard { id, before })
}

struct OpenLogs;

impl<'a> MakeWriter<'a> for OpenLogs {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        let current = CURRENT.get();
        let logs = open_logs();
        let mine = logs.iter().filter(|(id, _)| *id == current);
        let mut chosen: Vec<Log> = mine.map(|(_, log)| log.clone()).collect();
        if chosen.is_empty() {
            chosen = logs.iter().map(|(_, log)| log.clone()).collect();
        }
        LogWriter(chosen)
    }
}

/// Writes one event, a whole line, to each of the chosen logs.
struct LogWriter(Vec<Log>);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for log in &self.0 {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct BesideBars(Progress);

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = BesideBarsWriter<'a>;

    fn make_writer(&'a self) -> BesideBarsWriter<'a> {
        BesideBarsWriter(&self.0)
    }
}

struct BesideBarsWriter<'a>(&'a Progress);

impl Write for BesideBarsWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.print(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn events_go_to_the_log_of_their_thread_as_json_lines() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("a.jsonl"), folder.path().join("b.jsonl")];
        let subscriber = tracing_subscriber::registry().with(
            tracing_subscriber::fmt::layer()
                .json()
                .with_writer(OpenLogs),
        );
        tracing::subscriber::with_default(subscriber, || {
            let first = open(&paths[0]).unwrap();
            tracing::warn!(epoch = 3, "slow");
            let second = open(&paths[1]).unwrap();
            tracing::warn!("nested");
            drop(second);
            tracing::warn!("after");
            drop(first);
        });
        let messages = |path: &Path| -> Vec<String> {
            let text = fs::read_to_string(path).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .map(|event| event["fields"]["message"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(messages(&paths[0]), ["slow", "after"]);
        assert_eq!(messages(&paths[1]), ["nested"]);
    }
}
