//! Tracing: warnings and more on standard error, everything that a run said in its `log.jsonl`, the lines of other
//! origin on standard error included.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::progress::Progress;
use crate::error::{Error, Result};

/// The target of events that repeat what standard error has been told already.
const SHOWN: &str = "shown";

/// Puts a line that is on standard error into the logs too. The level is what the line says of itself.
pub fn shown(level: Level, line: &str) {
    match level {
        Level::ERROR => tracing::error!(target: SHOWN, "{line}"),
        Level::WARN => tracing::warn!(target: SHOWN, "{line}"),
        _ => tracing::info!(target: SHOWN, "{line}"),
    }
}

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
        .with_filter(filter_fn(move |event| of_terminal(event, terminal_level)));
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

fn of_terminal(event: &Metadata<'_>, most: LevelFilter) -> bool {
    event.target() != SHOWN && *event.level() <= most
}

type Log = Arc<Mutex<File>>;

/// A log and the guards that keep it open: one per thread that works on its run.
struct Open {
    id: u64,
    path: PathBuf,
    log: Log,
    guards: usize,
}

/// The logs that are open in this process: several where runs go on in parallel.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

thread_local! {
    /// The log of the run that this thread works on; 0 for none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

fn open_logs() -> MutexGuard<'static, Vec<Open>> {
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
        let mut logs = open_logs();
        if let Some(mine) = logs.iter_mut().find(|open| open.id == self.id) {
            mine.guards -= 1;
        }
        logs.retain(|open| open.guards > 0);
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
    let id = match logs.iter_mut().find(|open| open.path == path) {
        Some(open) => {
            open.guards += 1;
            open.id
        }
        None => {
            let id = logs.iter().map(|open| open.id).max().unwrap_or(0) + 1;
            logs.push(Open {
                id,
                path: path.to_owned(),
                log: Arc::new(Mutex::new(file)),
                guards: 1,
            });
            id
        }
    };
    let before = CURRENT.replace(id);
    Ok(LogGuard { id, before })
}

struct OpenLogs;

impl<'a> MakeWriter<'a> for OpenLogs {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        let current = CURRENT.get();
        let logs = open_logs();
        let mine = logs.iter().filter(|open| open.id == current);
        let mut chosen: Vec<Log> = mine.map(|open| open.log.clone()).collect();
        if chosen.is_empty() {
            chosen = logs.iter().map(|open| open.log.clone()).collect();
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
        assert_eq!(messages(&paths[0]), ["slow", "after"]);
        assert_eq!(messages(&paths[1]), ["nested"]);
    }

    fn messages(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|event| event["fields"]["message"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_log_that_two_threads_keep_open_has_each_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let files = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(OpenLogs);
        let subscriber = tracing_subscriber::registry().with(files);
        tracing::subscriber::with_default(subscriber, || {
            let outer = open(&path).unwrap();
            let inner = open(&path).unwrap();
            shown(Level::INFO, "epoch 1");
            drop(inner);
            shown(Level::ERROR, "no space");
            drop(outer);
        });
        assert_eq!(messages(&path), ["epoch 1", "no space"]);
    }
}
