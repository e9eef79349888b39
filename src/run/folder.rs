//! The folder of a run: `results/<name>/<run>/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::{self, FORMAT_VERSION};
use super::input::Input;
use super::lock::Lock;
use super::log::{self, LogGuard};
use super::metrics::MetricsRow;
use super::presence::Presence;
use super::provenance::{Code, Host, ProgramStart};
use super::record::{Metrics, RunRecord, RunState, StageRecord, finite, to_json};
use super::{clock, table};
use crate::atomic;
use crate::error::{Error, Result};

/// The folder of a stage, as a record names it, that is the run's own.
pub const OWN_FOLDER: &str = ".";

/// What a run is started with.
#[derive(Clone, Debug)]
pub struct RunStart<'a> {
    /// The folder of all results.
    pub results: &'a Path,
    /// The experiment's name: a folder under it.
    pub name: &'a str,
    /// The run's name: a folder under that.
    pub run: &'a str,
    /// The resolved spec, TOML.
    pub spec: &'a str,
    /// Which layer set each key of the resolved spec.
    pub settings: BTreeMap<String, String>,
    /// The device, in words.
    pub device: String,
    /// The command line.
    pub command: Vec<String>,
    /// What the run reads from outside the results folder.
    pub inputs: Vec<Input>,
    /// Stages in the order of the spec; states and metrics are taken over from an earlier start.
    pub stages: Vec<StageRecord>,
}

/// A run's folder, owned by this process until dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    record: Mutex<RunRecord>,
    metrics: Mutex<()>,
    presence: Presence,
    /// The program of the start before this one, where it was another.
    other_program: Option<Code>,
    /// `None` where the run is finished and the folder cannot be written.
    _lock: Option<Lock>,
}

impl RunFolder {
    /// Makes the run's folder, or opens the one that an earlier start left; takes its lock, and writes the resolved
    /// spec and `run.json` with the state running. A finished run is opened as it is and nothing is written.
    /// Errors when the folder cannot be written, is in use, holds another spec, or results from other inputs. A finished
    /// run needs no writing: it may stand in a folder that is only read.
    pub fn open(start: RunStart) -> Result<Self> {
        let path = start.results.join(start.name).join(start.run);
        let elsewhere = |error: Error| {
            Error::failed(format!("{error}; choose another folder with --results DIR"))
        };
        let is_finished = |record: &RunRecord| record.state == RunState::Finished;
        let lock = match Lock::acquire(&path) {
            Ok(lock) => Some(lock),
            Err(error @ Error::Io { .. }) => match RunRecord::read(&path) {
                Ok(Some(record)) if is_finished(&record) => None,
                _ => return Err(elsewhere(error)),
            },
            Err(error) => return Err(error),
        };
        if lock.is_some() {
            atomic::clean(&path)?;
        }
        let earlier = RunRecord::read(&path)?;
        write_spec(&path, start.spec)?;
        if let Some(earlier) = &earlier {
            refuse_other_inputs(&path, earlier, &start.inputs)?;
        }
        let code = earlier.as_ref().map(|record| record.code.clone());
        let record = match earlier {
            Some(record) if is_finished(&record) => record,
            earlier => {
                let record = begun(start, earlier);
                write_record(&path, &record)?;
                record
            }
        };
        Ok(Self {
            presence: Presence::of(&path)?,
            path,
            record: Mutex::new(record),
            metrics: Mutex::new(()),
            other_program: code.filter(|code| !code.same_source(&Code::current())),
            _lock: lock,
        })
    }

    /// The program of the start before this one, or of the last one of a finished run, where it was another.
    pub fn other_program(&self) -> Option<&Code> {
        self.other_program.as_ref()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `run.json` says now.
    pub fn record(&self) -> RunRecord {
        self.lock_record().clone()
    }

    /// Whether the run is finished, by this process or an earlier one.
    pub fn is_finished(&self) -> bool {
        self.lock_record().state == RunState::Finished
    }

    /// Records where a stage stands. `metrics`: its last ones, if there are new ones.
    pub fn set_stage(&self, id: &str, state: RunState, metrics: Option<Metrics>) -> Result<()> {
        let mut record = self.lock_record();
        if let Some(stage) = record.stages.iter_mut().find(|stage| stage.id == id) {
            stage.state = state;
            if let Some(metrics) = metrics {
                stage.metrics = finite(metrics);
            }
        }
        self.write(&record)
    }

    /// Gathers the rows of all stages that have begun and have a folder of their own in the run's `metrics.csv`, in the
    /// order of the spec, whatever the order in which they ended.
    pub fn collect_metrics(&self) -> Result<()> {
        let _one_at_a_time = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<MetricsRow> = Vec::new();
        for stage in self.record().stages {
            if stage.state != RunState::Pending && stage.folder != OWN_FOLDER {
                let table = self.path.join(&stage.folder).join(files::METRICS);
                rows.extend(table::read(&table)?);
            }
        }
        match rows.is_empty() {
            true => Ok(()),
            false => table::write(&self.path.join(files::METRICS), &rows),
        }
    }

    /// Records that the figures of a finished run stand now.
    pub fn figures_drawn(&self) -> Result<()> {
        let mut record = self.lock_record();
        record.figures_missing = None;
        write_record(&self.path, &record)
    }

    /// Records how the run ended, and why its figures are missing, if they are.
    pub fn end<T>(&self, outcome: &Result<T>, figures_missing: Option<String>) -> Result<()> {
        let mut record = self.lock_record();
        record.figures_missing = figures_missing;
        record.state = RunState::after(outcome);
        record.ended = Some(clock::now());
        record.error = match outcome {
            Err(error) if record.state == RunState::Failed => Some(error.to_string()),
            _ => None,
        };
        self.write(&record)
    }

    fn write(&self, record: &RunRecord) -> Result<()> {
        self.presence.check()?;
        write_record(&self.path, record)
    }

    /// Sends the events of this thread to the run's `log.jsonl` until the guard is dropped.
    pub fn log(&self) -> Result<LogGuard> {
        log::open(&self.path.join(files::LOG))
    }

    fn lock_record(&self) -> MutexGuard<'_, RunRecord> {
        // The record is replaced field by field with values that are whole, so a panic elsewhere does not spoil it.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the resolved spec, or checks that the one which stands says the same.
fn write_spec(folder: &Path, spec: &str) -> Result<()> {
    let path = folder.join(files::SPEC);
    let Some(standing) = Error::if_there("read", &path, fs::read_to_string(&path))? else {
        return atomic::write(&path, spec.as_bytes());
    };
    // Comments may differ, as where a value came from; the values may not.
    let values = |text: &str| text.parse::<toml::Table>().ok();
    if standing == spec || (values(spec).is_some() && values(&standing) == values(spec)) {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{}: differs from the spec of this run: it was edited after the run began; \
         undo that, or start again with --fresh",
        path.display()
    )))
}

/// Refuses to go on from results of other inputs.
fn refuse_other_inputs(folder: &Path, earlier: &RunRecord, inputs: &[Input]) -> Result<()> {
    let changes = earlier.changes(inputs);
    if changes.is_empty() || !holds_results(folder)? {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{}: {} since this run began, and its results so far would mix with others; put back what was there to go on, or \
         start again with --fresh",
        folder.display(),
        changes.join(", ")
    )))
}

/// Whether a run's folder holds more than what every start writes before the first step.
fn holds_results(folder: &Path) -> Result<bool> {
    let begun = [files::SPEC, files::RUN, files::LOG, files::LOCK];
    let mut entries = fs::read_dir(folder).map_err(Error::io("read", folder))?;
    Ok(entries
        .any(|entry| entry.is_ok_and(|entry| begun.iter().all(|name| entry.file_name() != *name))))
}

/// The record of a run that begins now, or again.
fn begun(start: RunStart, earlier: Option<RunRecord>) -> RunRecord {
    let now = clock::now();
    let code = Code::current();
    let mut programs = match &earlier {
        Some(record) if record.programs.is_empty() => {
            vec![ProgramStart::new(&record.code, &record.started)]
        }
        Some(record) => record.programs.clone(),
        None => Vec::new(),
    };
    if earlier
        .as_ref()
        .is_none_or(|record| !record.code.same_source(&code))
    {
        programs.push(ProgramStart::new(&code, &now));
    }
    let mut stages = start.stages;
    for stage in &mut stages {
        let before = earlier.iter().flat_map(|record| &record.stages);
        if let Some(before) = before
            .into_iter()
            .find(|before| before.id == stage.id && before.key == stage.key)
        {
            stage.metrics = before.metrics.clone();
            stage.state = match before.state {
                RunState::Running => RunState::Interrupted,
                state => state,
            };
        }
    }
    RunRecord {
        format_version: FORMAT_VERSION,
        name: start.name.to_owned(),
        run: start.run.to_owned(),
        state: RunState::Running,
        error: None,
        created: earlier
            .as_ref()
            .map_or_else(|| now.clone(), |record| record.created.clone()),
        started: now,
        ended: None,
        attempts: earlier.map_or(0, |record| record.attempts) + 1,
        code,
        programs,
        host: Host::current(),
        device: start.device,
        command: start.command,
        settings: start.settings,
        inputs: Some(start.inputs),
        figures_missing: None,
        stages,
    }
}

fn write_record(folder: &Path, record: &RunRecord) -> Result<()> {
    let path = folder.join(files::RUN);
    atomic::write(&path, &to_json(&path, record)?)
}

#[cfg(test)]
mod tests;
