//! `summary.csv`: one row a run of a name, with what tells the runs apart and their last metrics.

use std::collections::BTreeSet;
use std::path::Path;

use super::settings::{self, Settings, cell, distinguishing, lookup};
use crate::atomic;
use crate::error::{Error, Result};
use crate::run::{ListedRun, Metrics, RunRecord, RunState};

/// All runs of a name, side by side.
#[derive(Debug)]
pub struct Summary {
    /// The settings that tell the runs apart.
    pub keys: Vec<String>,
    /// The metrics that at least one run has.
    pub metrics: Vec<String>,
    /// The runs in the order of their names.
    pub rows: Vec<Row>,
}

/// One run.
#[derive(Debug)]
pub struct Row {
    pub run: String,
    pub state: RunState,
    pub settings: Settings,
    pub metrics: Metrics,
}

impl Summary {
    /// Puts the runs of a name side by side. Runs whose files cannot be read are left out with a warning.
    pub fn new(runs: Vec<ListedRun>) -> Self {
        let mut records = Vec::new();
        let mut rows = Vec::new();
        for run in runs {
            let state = run.state();
            let read = run
                .record
                .and_then(|record| Ok((record, settings::read(&run.folder)?)));
            match (read, state) {
                (Ok((record, settings)), Some(state)) => {
                    rows.push(Row {
                        run: run.run,
                        state,
                        settings,
                        metrics: metrics(&record),
                    });
                    records.push(record);
                }
                (Err(error), _) => tracing::warn!("{error}; the run is left out of the summary"),
                (Ok(_), None) => {}
            }
        }
        let pairs: Vec<_> = records
            .iter()
            .zip(rows.iter().map(|row| &row.settings))
            .collect();
        let keys = distinguishing(&pairs);
        let metrics: BTreeSet<&String> = rows.iter().flat_map(|row| row.metrics.keys()).collect();
        let metrics = metrics.into_iter().cloned().collect();
        Self {
            keys,
            metrics,
            rows,
        }
    }

    /// Writes `path`: `run,state`, the settings that tell the runs apart, their last metrics.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = ["run", "state"].into_iter().map(str::to_owned);
        let header = header.chain(self.keys.clone()).chain(self.metrics.clone());
        let broken = |error: &dyn std::fmt::Display| {
            Error::failed(format!("{}: cannot write: {error}", path.display()))
        };
        writer.write_record(header).map_err(|e| broken(&e))?;
        for row in &self.rows {
            let mut cells = vec![row.run.clone(), row.state.name().to_owned()];
            cells.extend(self.keys.iter().map(|key| cell(lookup(&row.settings, key))));
            cells.extend(self.metrics.iter().map(|name| match row.metrics.get(name) {
                Some(value) => format!("{value:?}"),
                None => String::new(),
            }));
            writer.write_record(cells).map_err(|e| broken(&e))?;
        }
        let bytes = writer.into_inner().map_err(|e| broken(&e))?;
        atomic::write(path, &bytes)
    }
}

/// The last metrics of a run, named after their stage where there are several.
fn metrics(record: &RunRecord) -> Metrics {
    let several = record.stages.len() > 1;
    let mut all = Metrics::new();
    for stage in &record.stages {
        for (name, value) in &stage.metrics {
            let name = match several {
                true => format!("{}.{name}", stage.id),
                false => name.clone(),
            };
            all.insert(name, *value);
        }
    }
    all
}
