//! What there is to see of a run at one moment, for views that look again and again.

use std::path::PathBuf;

use rayon::prelude::*;

use super::listing::{aligned, telling};
use super::{ListedRun, MetricsRow, Owner, RunRecord, RunState, memory};

/// A run at one moment. Words are empty where they are not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Glance {
    /// The experiment's name.
    pub name: String,
    /// The run's name under it.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Where it stands; `None` if its record cannot be read.
    pub state: Option<RunState>,
    /// How far it is: `3/5 epochs`.
    pub progress: String,
    /// How long it still takes.
    pub left: String,
    /// Examples per second, of training where it trains.
    pub rate: String,
    /// The memory of its process, if that runs on this machine.
    pub memory: String,
    /// The metrics that tell runs apart, those that matter most first.
    pub metrics: Vec<(String, f64)>,
    /// Why it failed or cannot be read.
    pub error: Option<String>,
    /// The command that last started it.
    pub command: Vec<String>,
}

/// What there is to see of each run, of those under way first.
pub fn glances(runs: &[ListedRun]) -> Vec<Glance> {
    let mut found: Vec<Glance> = runs.par_iter().map(ListedRun::glance).collect();
    found.sort_by_key(|glance| !glance.is_running());
    found
}

/// An aligned table of runs, a line each, of any length.
pub fn glance_table(glances: &[Glance]) -> String {
    let heading = [
        "NAME",
        "RUN",
        "STATE",
        "PROGRESS",
        "LEFT",
        "EXAMPLES/S",
        "MEMORY",
        "LAST METRICS",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(glances.iter().map(|glance| {
        vec![
            glance.name.clone(),
            glance.run.clone(),
            glance.state_name().to_owned(),
            glance.progress.clone(),
            glance.left.clone(),
            glance.rate.clone(),
            glance.memory.clone(),
            glance.last(|name, value| format!("{name} {value:.4}")),
        ]
    }));
    aligned(&rows, usize::MAX)
}

impl Glance {
    /// Whether a process works on it.
    pub fn is_running(&self) -> bool {
        self.state == Some(RunState::Running)
    }

    /// The name of its state in tables.
    pub fn state_name(&self) -> &'static str {
        self.state.map_or("unreadable", RunState::name)
    }

    /// Why it failed, or its metrics in these words.
    pub fn last(&self, words: impl Fn(&str, f64) -> String) -> String {
        self.error.clone().unwrap_or_else(|| {
            let metrics = self.metrics.iter();
            let metrics = metrics.map(|(name, value)| words(name, *value));
            metrics.collect::<Vec<_>>().join(", ")
        })
    }

    /// The rows over epochs of the stage that works now, or else of the last one that has any, and its id.
    pub fn epochs(&self) -> Option<(String, Vec<MetricsRow>)> {
        let record = RunRecord::read(&self.folder).ok()??;
        let stages = record.stages.clone();
        let run = ListedRun {
            name: self.name.clone(),
            run: self.run.clone(),
            folder: self.folder.clone(),
            record: Ok(record),
        };
        let mut rows = run.rows();
        rows.retain(|row| row.epoch > 0);
        let working = stages.iter().rev();
        let working = working.filter(|stage| stage.state == RunState::Running);
        let mut ids = working.chain(stages.iter().rev()).map(|stage| &stage.id);
        let id = ids.find(|id| rows.iter().any(|row| row.stage == **id))?;
        rows.retain(|row| row.stage == *id);
        Some((id.clone(), rows))
    }
}

impl ListedRun {
    fn glance(&self) -> Glance {
        let state = self.state();
        let running = state == Some(RunState::Running);
        let [progress, left] = self.way(state);
        let words = |rate: f64| format!("{rate:.*}", usize::from(rate < 10.0));
        let rate = running.then(|| rate(&self.rows())).flatten();
        let owner = running.then(|| Owner::here(&self.folder).ok()).flatten();
        let memory = owner.and_then(|owner| memory::of_process(owner.process));
        let metrics = self.metrics();
        Glance {
            name: self.name.clone(),
            run: self.run.clone(),
            folder: self.folder.clone(),
            state,
            progress,
            left,
            rate: rate.map(words).unwrap_or_default(),
            memory: memory
                .map(|bytes| memory::words(bytes.into()))
                .unwrap_or_default(),
            metrics: telling(&metrics, None, false)
                .into_iter()
                .map(|name| (name.clone(), metrics[name]))
                .collect(),
            error: self.error(),
            command: match &self.record {
                Ok(record) => record.command.clone(),
                Err(_) => Vec::new(),
            },
        }
    }
}

/// The last speed of training, or of anything where nothing trains.
fn rate(rows: &[MetricsRow]) -> Option<f64> {
    let last = |train: bool| {
        let mut rows = rows.iter().rev();
        rows.find_map(|row| {
            let rate = row.examples_per_second?;
            (!train || row.split == "train").then_some(rate)
        })
    };
    last(true).or_else(|| last(false))
}
