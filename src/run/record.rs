//! `run.json` and `stage.json`: what a run and a finished stage say about themselves.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::clock;
use super::files::{self, FORMAT_VERSION};
use super::input::Input;
use super::lock::{self, Lock};
use super::provenance::{Code, Host, ProgramStart};
use super::seal::Seal;
use crate::atomic;
use crate::error::{Error, Result};

/// Where a run or a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Not begun: a stage that waits for its inputs.
    Pending,
    /// A process works on it.
    Running,
    /// Stopped by the user, or killed; the same command goes on.
    Interrupted,
    /// Ended with an error.
    Failed,
    /// Done.
    Finished,
}

impl RunState {
    /// The name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }

    /// The state that the outcome of a run or a stage leaves it in.
    pub fn after<T>(outcome: &Result<T>) -> Self {
        match outcome {
            Ok(_) => Self::Finished,
            Err(Error::Interrupted) => Self::Interrupted,
            Err(_) => Self::Failed,
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Last metrics by name. Only finite numbers: JSON has no others.
pub type Metrics = BTreeMap<String, f64>;

/// `metrics` without what JSON cannot hold.
pub fn finite(mut metrics: Metrics) -> Metrics {
    metrics.retain(|_, value| value.is_finite());
    metrics
}

/// The metrics of a run's stages by name, named after their stage where there are several: `judge.test_accuracy`.
pub fn of_stages<'a>(stages: impl ExactSizeIterator<Item = (&'a str, &'a Metrics)>) -> Metrics {
    let several = stages.len() > 1;
    let all = stages.flat_map(|(id, metrics)| {
        metrics.iter().map(move |(name, value)| {
            let name = match several {
                true => format!("{id}.{name}"),
                false => name.clone(),
            };
            (name, *value)
        })
    });
    all.collect()
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Id in the spec, `main` in a spec of one task.
    pub id: String,
    /// Task, as the spec names it.
    pub task: String,
    /// The seed of its random numbers; missing in records of early versions.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Hash of the stage's resolved settings, of what it reads, its inputs' keys and the format version.
    pub key: String,
    /// Its folder, relative to the run's.
    pub folder: String,
    /// Where it stands.
    pub state: RunState,
    /// Its last metrics.
    pub metrics: Metrics,
}

/// `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of the format of the run folder.
    pub format_version: u32,
    /// The experiment's name.
    pub name: String,
    /// The run's folder under it.
    pub run: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was first started, UTC.
    pub created: String,
    /// When it was last started, UTC.
    pub started: String,
    /// When it last ended, well or badly, UTC; missing while it runs and after a kill.
    pub ended: Option<String>,
    /// How often it was started.
    pub attempts: u32,
    /// The program of the last start.
    pub code: Code,
    /// The programs that worked on it, each with the first start since the one before it; empty in records of early
    /// versions.
    #[serde(default)]
    pub programs: Vec<ProgramStart>,
    /// The machine of the last start.
    pub host: Host,
    /// The device of the last start.
    pub device: String,
    /// The command line of the last start.
    pub command: Vec<String>,
    /// Which layer set each key of the resolved spec.
    pub settings: BTreeMap<String, String>,
    /// What it reads from outside the results folder; missing in records of early versions.
    #[serde(default)]
    pub inputs: Option<Vec<Input>>,
    /// Why its figures could not be drawn; the next start draws them.
    #[serde(default)]
    pub figures_missing: Option<String>,
    /// Stages, in the order of the spec.
    pub stages: Vec<StageRecord>,
}

impl RunRecord {
    /// The record of the run in `folder`; `None` if it has none yet.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        read(&folder.join(files::RUN))
    }

    /// Writes down that the run in `folder`, whose process was killed, failed, and why.
    ///
    /// # Errors
    /// Another process works on it meanwhile, or its record cannot be written.
    pub fn mark_failed(folder: &Path, why: &str) -> Result<()> {
        let _owned = Lock::acquire(folder)?;
        let Some(mut record) = Self::read(folder)? else {
            return Ok(());
        };
        record.state = RunState::Failed;
        record.error = Some(why.to_owned());
        record.ended = Some(clock::now());
        let path = folder.join(files::RUN);
        atomic::write(&path, &to_json(&path, &record)?)
    }

    /// The last metrics of its stages, named after their stage where there are several: `judge.test_accuracy`.
    pub fn last_metrics(&self) -> Metrics {
        let stages = self.stages.iter();
        of_stages(stages.map(|stage| (stage.id.as_str(), &stage.metrics)))
    }

    /// The inputs that were others when the run began, in words. A record that does not name its inputs has none.
    pub fn changes(&self, inputs: &[Input]) -> Vec<String> {
        Input::changes(self.inputs.as_deref().unwrap_or_default(), inputs)
    }

    /// Where the run in `folder` really stands: one that says that it runs and has no owner was killed.
    pub fn actual_state(&self, folder: &Path) -> RunState {
        match self.state {
            RunState::Running if !lock::is_held(folder) => RunState::Interrupted,
            state => state,
        }
    }
}

/// `stage.json`: written last, so its presence with the right key means that the stage is finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishedStage {
    /// Version of the format of the stage's folder.
    pub format_version: u32,
    /// Hash of the stage's resolved settings, of what it reads, its inputs' keys and the format version.
    pub key: String,
    /// The program that finished it; missing in records of early versions.
    #[serde(default)]
    pub code: Option<Code>,
    /// Always finished.
    pub state: RunState,
    /// When it finished, UTC.
    pub ended: String,
    /// Its last metrics.
    pub metrics: Metrics,
    /// What its tables hold.
    #[serde(default)]
    pub tables: BTreeMap<String, Seal>,
}

impl FinishedStage {
    /// The record in `folder`, if a stage is finished there.
    pub fn in_folder(folder: &Path) -> Result<Option<Self>> {
        read(&folder.join(files::STAGE))
    }

    /// The record in `folder` if the stage with `key` is finished there.
    pub fn read(folder: &Path, key: &str) -> Result<Option<Self>> {
        Ok(Self::in_folder(folder)?.filter(|record| record.key == key))
    }
}

/// A record that carries a format version.
trait Record {
    fn format_version(&self) -> u32;
}

impl Record for RunRecord {
    fn format_version(&self) -> u32 {
        self.format_version
    }
}

impl Record for FinishedStage {
    fn format_version(&self) -> u32 {
        self.format_version
    }
}

#[derive(Deserialize)]
struct Versioned {
    format_version: u32,
}

/// Reads a record that carries a format version; `None` if there is no such file.
fn read<T: DeserializeOwned + Record>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = Error::if_there("read", path, std::fs::read(path))? else {
        return Ok(None);
    };
    let damaged = |error: serde_json::Error| {
        Error::failed(format!(
            "{}: damaged ({error}); delete this file to go on from what stands beside it, or start again with --fresh",
            path.display()
        ))
    };
    let newer = |version: u32| {
        Error::failed(format!(
            "{}: written in format {version}, this version reads up to {FORMAT_VERSION}: use a newer \
             runner, or start again with --fresh",
            path.display()
        ))
    };
    match serde_json::from_slice::<T>(&bytes) {
        Ok(record) if record.format_version() > FORMAT_VERSION => {
            Err(newer(record.format_version()))
        }
        Ok(record) => Ok(Some(record)),
        // A newer format need not have what this one needs.
        Err(error) => match serde_json::from_slice(&bytes) {
            Ok(Versioned { format_version }) if format_version > FORMAT_VERSION => {
                Err(newer(format_version))
            }
            _ => Err(damaged(error)),
        },
    }
}

/// `record` as text that people can read.
pub fn to_json<T: Serialize>(path: &Path, record: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record)
        .map_err(|error| Error::failed(format!("{}: cannot write: {error}", path.display())))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_and_newer_records_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunRecord::read(folder.path()).unwrap().is_none());
        for (text, expected) in [
            ("{\"format_version\": 1, \"na", "run.json: damaged"),
            ("{\"format_version\": 1}", "run.json: damaged"),
            (
                "{\"format_version\": 2}",
                "run.json: written in format 2, this version reads up to 1",
            ),
        ] {
            std::fs::write(folder.path().join(files::RUN), text).unwrap();
            let message = RunRecord::read(folder.path()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("--fresh"), "{message}");
        }
    }

    #[test]
    fn outcomes_give_states() {
        assert_eq!(RunState::after(&Ok(())), RunState::Finished);
        assert_eq!(
            RunState::after::<()>(&Err(Error::Interrupted)),
            RunState::Interrupted
        );
        assert_eq!(
            RunState::after::<()>(&Err(Error::failed("x"))),
            RunState::Failed
        );
    }
}
