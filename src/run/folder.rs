//! The folder of a run: `results/<name>/<run>/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::{self, FORMAT_VERSION};
use super::lock::Lock;
use super::log::{self, LogGuard};
use super::metrics::{MetricsRow, MetricsWriter};
use super::presence::Presence;
use super::provenance::{Code, Host};
use super::record::{Metrics, RunRecord, RunState, StageRecord, finite, to_json};
use super::{clock, table};
use crate::atomic;
use crate::error::{Error, Result};

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
    _lock: Lock,
}

impl RunFolder {
    /// Makes the run's folder, or opens the one that an earlier start left; takes its lock, and writes the resolved
    /// spec and `run.json` with the state running. A finished run is opened as it is and nothing is written.
    /// Errors when the folder cannot be written, is in use, or holds another spec.
    pub fn open(start: RunStart) -> Result<Self> {
        let path = start.results.join(start.name).join(start.run);
        let elsewhere = |error: Error| {
            Error::failed(format!("{error}; choose another folder with --results DIR"))
        };
        fs::create_dir_all(&path)
            .map_err(Error::io("create", &path))
            .map_err(elsewhere)?;
        let lock = Lock::acquire(&path).map_err(|error| match error {
            error @ Error::Io { .. } => elsewhere(error),
            error => error,
        })?;
        atomic::clean(&path)?;
        let earlier = RunRecord::read(&path)?;
        write_spec(&path, start.spec)?;
        let record = match earlier {
            Some(record) if record.state == RunState::Finished => record,
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
            _lock: lock,
        })
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

    /// Copies the rows of a stage that has a folder of its own into the run's `metrics.csv`; rows that stand there
    /// already stay as they are.
    pub fn collect_metrics(&self, stage: &Path) -> Result<()> {
        if stage == self.path {
            return Ok(());
        }
        let rows: Vec<MetricsRow> = table::read(&stage.join(files::METRICS))?;
        if rows.is_empty() {
            return Ok(());
        }
        let _one_at_a_time = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = MetricsWriter::open(&self.path.join(files::METRICS), false)?;
        rows.into_iter().try_for_each(|row| writer.append(row))
    }

    /// Records how the run ended.
    pub fn end<T>(&self, outcome: &Result<T>) -> Result<()> {
        let mut record = self.lock_record();
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
    let standing = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return atomic::write(&path, spec.as_bytes());
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
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

/// The record of a run that begins now, or again.
fn begun(start: RunStart, earlier: Option<RunRecord>) -> RunRecord {
    let now = clock::now();
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
        code: Code::current(),
        host: Host::current(),
        device: start.device,
        command: start.command,
        settings: start.settings,
        stages,
    }
}

fn write_record(folder: &Path, record: &RunRecord) -> Result<()> {
    let path = folder.join(files::RUN);
    atomic::write(&path, &to_json(&path, record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start<'a>(results: &'a Path, spec: &'a str) -> RunStart<'a> {
        RunStart {
            results,
            name: "exp",
            run: "1f3a9c20",
            spec,
            settings: BTreeMap::from([("seed".to_owned(), "default".to_owned())]),
            device: "cpu".to_owned(),
            command: vec!["runner".to_owned(), "a.toml".to_owned()],
            stages: vec![StageRecord {
                id: "main".to_owned(),
                task: "train".to_owned(),
                key: "abc".to_owned(),
                folder: ".".to_owned(),
                state: RunState::Pending,
                metrics: Metrics::new(),
            }],
        }
    }

    #[test]
    fn spec_and_record_stand_before_the_first_step_and_a_restart_counts() {
        let results = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
        assert!(folder.path().ends_with("exp/1f3a9c20"));
        assert_eq!(
            fs::read_to_string(folder.path().join(files::SPEC)).unwrap(),
            "seed = 0\n"
        );
        let record = RunRecord::read(folder.path()).unwrap().unwrap();
        assert_eq!(record, folder.record());
        assert_eq!((record.state, record.attempts), (RunState::Running, 1));
        assert_eq!(record.settings["seed"], "default");
        assert_eq!(record.actual_state(folder.path()), RunState::Running);

        let metrics = Metrics::from([("loss".to_owned(), 0.5), ("bad".to_owned(), f64::NAN)]);
        folder
            .set_stage("main", RunState::Running, Some(metrics))
            .unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        // The process is gone and the record still says that it runs.
        assert_eq!(
            RunRecord::read(&path).unwrap().unwrap().actual_state(&path),
            RunState::Interrupted
        );
        let again = RunFolder::open(start(results.path(), "# a comment\nseed = 0\n")).unwrap();
        let record = again.record();
        assert_eq!((record.state, record.attempts), (RunState::Running, 2));
        assert_eq!(record.stages[0].state, RunState::Interrupted);
        assert_eq!(
            record.stages[0].metrics,
            Metrics::from([("loss".to_owned(), 0.5)])
        );
    }

    #[test]
    fn outcomes_are_recorded_and_a_finished_run_is_left_alone() {
        let results = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
        folder
            .end::<()>(&Err(Error::failed("out of paper")))
            .unwrap();
        assert_eq!(folder.record().state, RunState::Failed);
        assert_eq!(folder.record().error.as_deref(), Some("out of paper"));
        folder.end::<()>(&Err(Error::Interrupted)).unwrap();
        assert_eq!(folder.record().state, RunState::Interrupted);
        assert_eq!(folder.record().error, None);
        folder.end(&Ok(())).unwrap();
        let text = fs::read(folder.path().join(files::RUN)).unwrap();
        drop(folder);
        let again = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
        assert!(again.is_finished());
        assert_eq!(fs::read(again.path().join(files::RUN)).unwrap(), text);
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let results = tempfile::tempdir().unwrap();
        let _owner = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
        let message = RunFolder::open(start(results.path(), "seed = 0\n"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("exp/1f3a9c20: in use by process"),
            "{message}"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused_with_a_remedy() {
        let results = tempfile::tempdir().unwrap();
        let file = results.path().join("results");
        fs::write(&file, "not a folder").unwrap();
        let message = RunFolder::open(start(&file, "seed = 0\n"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("results/exp/1f3a9c20: cannot create"),
            "{message}"
        );
        assert!(message.contains("--results DIR"), "{message}");
    }

    #[test]
    fn an_edited_spec_is_refused() {
        let results = tempfile::tempdir().unwrap();
        drop(RunFolder::open(start(results.path(), "seed = 0\n")).unwrap());
        let message = RunFolder::open(start(results.path(), "seed = 1\n"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("spec.toml: differs from the spec of this run"),
            "{message}"
        );
    }

    #[test]
    fn rows_of_stages_are_collected_once() {
        let results = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
        let stage = tempfile::tempdir().unwrap();
        let row = |epoch| MetricsRow {
            stage: "a".into(),
            epoch,
            split: "test".into(),
            attack: "none".into(),
            loss: Some(0.5),
            ..MetricsRow::default()
        };
        folder.collect_metrics(stage.path()).unwrap();
        assert!(!folder.path().join(files::METRICS).exists());
        for epochs in [1..=1, 1..=2, 1..=2] {
            let rows: Vec<_> = epochs.map(row).collect();
            table::write(&stage.path().join(files::METRICS), &rows).unwrap();
            folder.collect_metrics(stage.path()).unwrap();
            let collected: Vec<MetricsRow> =
                table::read(&folder.path().join(files::METRICS)).unwrap();
            assert_eq!(collected, rows);
        }
    }
}
