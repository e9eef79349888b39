//! The runs of a name side by side, as their files tell: what tables and figures over several runs are made of.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::settings::{self, Settings, distinguishing};
use crate::choice::did_you_mean;
use crate::error::{Error, Result};
use crate::run::{
    ListedRun, Metrics, MetricsRow, RunRecord, RunState, StageRecord, TransferRow, files,
    is_main_metric, metric_rank, table,
};
use crate::spec::TaskKind;

/// What tables and figures over several runs show, where the reader chooses it.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The metrics; none: those that matter most.
    pub metrics: Vec<String>,
    /// The setting along the axis of the figures; none: numbers that were swept, or else choices.
    pub over: Option<String>,
}

/// All runs of a name.
#[derive(Debug)]
pub struct Comparison {
    /// The settings that tell the runs apart.
    pub keys: Vec<String>,
    /// The runs, by the numbers in their names.
    pub runs: Vec<ComparedRun>,
    /// What the reader wants to see of them.
    pub chosen: Chosen,
}

/// One run.
#[derive(Debug)]
pub struct ComparedRun {
    /// Its folder under that of all results, `<name>/<run>`. A run's name alone may be eight digits, which readers of CSV
    /// files would take for a number.
    pub run: String,
    /// Where it really stands; `None` if its files cannot be read.
    pub state: Option<RunState>,
    /// Why it failed or cannot be read, in one line.
    pub error: Option<String>,
    pub settings: Settings,
    /// The last metrics of its stages, named after the stage where there are several.
    pub metrics: Metrics,
    /// Its stages in the order of the spec.
    pub stages: Vec<ComparedStage>,
}

/// One stage of a run.
#[derive(Debug)]
pub struct ComparedStage {
    pub record: StageRecord,
    /// Its rows of `metrics.csv`.
    pub rows: Vec<MetricsRow>,
    /// Its rows of `transfer.csv`.
    pub transfer: Vec<TransferRow>,
}

impl Comparison {
    /// Reads the files of runs.
    pub fn new(listed: Vec<ListedRun>) -> Self {
        // Thousands of small files.
        let read = listed.into_par_iter().map(ComparedRun::read);
        let (runs, records): (Vec<_>, Vec<_>) = read.unzip();
        let pairs = runs.iter().zip(&records);
        let pairs: Vec<_> = pairs
            .filter_map(|(run, record)| Some((record.as_ref()?, &run.settings)))
            .collect();
        let keys = distinguishing(&pairs);
        let chosen = Chosen::default();
        Self { keys, runs, chosen }
    }

    /// The same with what the reader wants to see.
    ///
    /// # Errors
    /// A metric that no run has, a setting in which they do not differ.
    pub fn showing(mut self, chosen: Chosen) -> Result<Self> {
        let metrics = self.metrics();
        if let Some(unknown) = chosen
            .metrics
            .iter()
            .find(|metric| !metrics.contains(*metric))
        {
            let known = metrics.iter().map(String::as_str);
            let hint = did_you_mean(unknown, known.clone());
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(Error::spec(format!(
                "{unknown}: no run has this metric{hint}; they have {known}"
            )));
        }
        // Of a setting that several stages have alike figures know the name without a stage.
        let is_known = |over: &String| {
            let mut keys = self.keys.iter();
            keys.any(|key| key == over || key.ends_with(&format!(".{over}")))
        };
        if let Some(over) = chosen.over.as_ref().filter(|over| !is_known(over)) {
            let hint = did_you_mean(over, self.keys.iter().map(String::as_str));
            return Err(Error::spec(format!(
                "{over}: the runs do not differ in this setting{hint}"
            )));
        }
        self.chosen = chosen;
        Ok(self)
    }

    /// The names of the last metrics that at least one run has.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.runs
            .iter()
            .flat_map(|run| run.metrics.keys().cloned())
            .collect()
    }

    /// The metrics that a table or a figure of several runs shows, those that matter most first: the main ones, or all where
    /// there are none of these.
    pub fn main_metrics(&self) -> Vec<String> {
        if !self.chosen.metrics.is_empty() {
            return self.chosen.metrics.clone();
        }
        let mut metrics: Vec<String> = self.metrics().into_iter().collect();
        if metrics.iter().any(|metric| is_main_metric(metric)) {
            metrics.retain(|metric| is_main_metric(metric));
        }
        metrics.sort_by_cached_key(|metric| metric_rank(metric));
        metrics
    }
}

impl ComparedRun {
    /// Reads the files of a run; with its record, where that can be read.
    fn read(listed: ListedRun) -> (Self, Option<RunRecord>) {
        let state = listed.state();
        let run = format!("{}/{}", listed.name, listed.run);
        let read = listed.record.and_then(|record| {
            let settings = settings::read(&listed.folder)?;
            let stages = stages(&listed.folder, &record.stages)?;
            Ok((record, settings, stages))
        });
        match read {
            Ok((record, settings, stages)) => {
                let found = Self {
                    run,
                    state,
                    error: record.error.as_deref().map(one_line),
                    settings,
                    metrics: record.last_metrics(),
                    stages,
                };
                (found, Some(record))
            }
            Err(error) => {
                tracing::warn!("{error}; the tables say of this run only that it cannot be read");
                let found = Self {
                    run,
                    state: None,
                    error: Some(one_line(&error.to_string())),
                    settings: Settings::new(),
                    metrics: Metrics::new(),
                    stages: Vec::new(),
                };
                (found, None)
            }
        }
    }

    /// The epochs done of the last stage that trains and has begun.
    pub fn epoch(&self) -> Option<u64> {
        let trains = |stage: &&ComparedStage| {
            let task = TaskKind::from_name(&stage.record.task);
            stage.record.state != RunState::Pending && task.is_some_and(TaskKind::is_training)
        };
        let stage = self.stages.iter().rfind(trains)?;
        Some(stage.rows.iter().map(|row| row.epoch).max().unwrap_or(0))
    }

    /// The name of its state in tables.
    pub fn state_name(&self) -> &'static str {
        self.state.map_or("unreadable", RunState::name)
    }
}

fn stages(run: &Path, records: &[StageRecord]) -> Result<Vec<ComparedStage>> {
    let collected: Vec<MetricsRow> = table::read(&run.join(files::METRICS))?;
    let stages = records.iter().map(|record| {
        let mut transfer = Vec::new();
        if record.state != RunState::Pending {
            transfer = TransferRow::read(&run.join(&record.folder).join(files::TRANSFER))?;
        }
        Ok(ComparedStage {
            record: record.clone(),
            rows: record.rows(run, &collected)?,
            transfer,
        })
    });
    stages.collect()
}

/// Several lines as one.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("; ")
}
