//! Where a listed run stands: how far it is, how long it still takes, what it has measured.

use std::fs;
use std::path::Path;
use std::time::Duration;

use toml::Value;

use super::clock;
use super::files;
use super::folder::OWN_FOLDER;
use super::list::ListedRun;
use super::metrics::MetricsRow;
use super::record::{Metrics, RunRecord, RunState, StageRecord};
use super::table;
use crate::error::Result;

/// How much of its work a run has done.
struct Progress {
    done: u64,
    all: u64,
    unit: &'static str,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {}", self.done, self.all, self.unit)
    }
}

impl StageRecord {
    /// Its rows of `metrics.csv`. `collected` are those of its run, which lies in `run`.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn rows(&self, run: &Path, collected: &[MetricsRow]) -> Result<Vec<MetricsRow>> {
        let mine = |rows: &[MetricsRow]| -> Vec<MetricsRow> {
            let rows = rows.iter().filter(|row| row.stage == self.id);
            rows.cloned().collect()
        };
        let rows = mine(collected);
        if self.state == RunState::Pending || self.folder == OWN_FOLDER {
            return Ok(rows);
        }
        // A run takes over the rows of a shared stage when the stage ends: before, they are only in the stage's own table.
        let own = mine(&table::read(&run.join(&self.folder).join(files::METRICS))?);
        Ok(if own.len() > rows.len() { own } else { rows })
    }
}

impl ListedRun {
    /// Where the run really stands; `None` if its record cannot be read.
    pub fn state(&self) -> Option<RunState> {
        let record = self.record.as_ref().ok()?;
        Some(record.actual_state(&self.folder))
    }

    /// Its resolved spec.
    pub(super) fn spec(&self) -> Option<toml::Table> {
        let text = fs::read_to_string(self.folder.join(files::SPEC)).ok()?;
        text.parse().ok()
    }

    /// How far it is; nothing where its files do not tell.
    fn progress(&self, spec: Option<&toml::Table>) -> Option<Progress> {
        let record = self.record.as_ref().ok()?;
        if record.stages.len() > 1 {
            let stages = record.stages.iter();
            let finished = stages.filter(|stage| stage.state == RunState::Finished);
            return Some(Progress {
                done: finished.count() as u64,
                all: record.stages.len() as u64,
                unit: "stages",
            });
        }
        let total = |section: &str, key: &str| {
            let value = spec?.get(section)?.get(key)?.as_integer()?;
            u64::try_from(value).ok()
        };
        if let Some(epochs) = total("train", "epochs") {
            let done = match record.state {
                RunState::Finished => Some(epochs),
                _ => self.rows().iter().map(|row| row.epoch).max(),
            };
            return Some(Progress {
                done: done.unwrap_or(0),
                all: epochs,
                unit: "epochs",
            });
        }
        let repeats = total("simulate", "repeats")?;
        let done = match record.state {
            RunState::Finished => Some(repeats),
            _ => self.repeats_done(),
        };
        Some(Progress {
            done: done.unwrap_or(0),
            all: repeats,
            unit: "repeats",
        })
    }

    /// How long a running training still takes, by the seconds of its last epoch and the evaluation after it.
    fn time_left(&self, progress: &Progress) -> Option<Duration> {
        let rows = self.rows();
        let last = rows
            .iter()
            .map(|row| row.epoch)
            .max()
            .filter(|&epoch| epoch > 0)?;
        let seconds: f64 = rows
            .iter()
            .filter(|row| row.epoch == last)
            .filter_map(|row| row.seconds)
            .sum();
        let left = progress.all.saturating_sub(progress.done) as f64 * seconds;
        (progress.unit == "epochs").then_some(())?;
        Duration::try_from_secs_f64(left).ok()
    }

    /// How far it is and how long it still takes, in words; each empty where its files do not tell.
    pub(super) fn way(&self, state: Option<RunState>) -> [String; 2] {
        // Of what is finished, the state says how far it is: reading thousands of specs would be felt.
        let progress = match state {
            Some(RunState::Finished) | None => None,
            Some(_) => self.progress(self.spec().as_ref()),
        };
        let left = match (&progress, state) {
            (Some(progress), Some(RunState::Running)) => self.time_left(progress),
            _ => None,
        };
        [
            progress.map_or_else(String::new, |progress| progress.to_string()),
            left.map(clock::in_words).unwrap_or_default(),
        ]
    }

    /// How long ago it was last started, or ended.
    pub fn age(&self) -> Option<Duration> {
        let record = self.record.as_ref().ok()?;
        clock::since(record.ended.as_ref().unwrap_or(&record.started))
    }

    /// The rows of `metrics.csv` so far, those of stages under way included; of a table that cannot be read none.
    pub(super) fn rows(&self) -> Vec<MetricsRow> {
        let rows = table::read(&self.folder.join(files::METRICS)).unwrap_or_default();
        match &self.record {
            Ok(record) if record.stages.len() > 1 => {
                let stages = record.stages.iter();
                let rows = stages.map(|stage| stage.rows(&self.folder, &rows));
                rows.flat_map(Result::unwrap_or_default).collect()
            }
            _ => rows,
        }
    }

    /// Repeats that stand before the one in the last line of `simulation.csv`, which may have more lines to come.
    fn repeats_done(&self) -> Option<u64> {
        let end = table::last_lines(&self.folder.join(files::SIMULATION), 1000);
        end.lines().last()?.split(',').next()?.parse().ok()
    }

    /// Its last metrics, by the names of [`RunRecord::last_metrics`]; those of a run under way are of its last epoch.
    pub(super) fn metrics(&self) -> Metrics {
        let Ok(record) = &self.record else {
            return Metrics::new();
        };
        let mut metrics = record.last_metrics();
        if record.state == RunState::Finished {
            return metrics;
        }
        for row in self.rows() {
            let stage = match record.stages.len() {
                0 | 1 => String::new(),
                _ => format!("{}.", row.stage),
            };
            let values = [("accuracy", row.accuracy), ("loss", row.loss)];
            for (name, value) in values {
                if let Some(value) = value.filter(|value| value.is_finite()) {
                    metrics.insert(format!("{stage}{}_{name}", row.measured()), value);
                }
            }
        }
        metrics
    }

    /// Its state, a metric or a setting; of stages `stage.ID.KEY`.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        if key == "state" {
            return self.state().map(|state| state.name().into());
        }
        if let Some(metric) = self.metrics().get(key) {
            return Some(Value::Float(*metric));
        }
        let spec = Value::Table(self.spec()?);
        let (top, key) = match key
            .strip_prefix("stage.")
            .and_then(|rest| rest.split_once('.'))
        {
            None => (&spec, key),
            Some((id, key)) => {
                let mut stages = spec.get("stage")?.as_array()?.iter();
                let id = Value::from(id);
                (stages.find(|stage| stage.get("id") == Some(&id))?, key)
            }
        };
        key.split('.')
            .try_fold(top, |table, part| table.get(part))
            .cloned()
    }

    /// The first line of why it failed or cannot be read.
    pub(super) fn error(&self) -> Option<String> {
        let error = match &self.record {
            Ok(RunRecord { error, .. }) => error.clone()?,
            Err(error) => error.to_string(),
        };
        Some(error.lines().next().unwrap_or_default().to_owned())
    }
}
