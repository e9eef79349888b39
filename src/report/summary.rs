//! `summary.csv`: one row per run of a name, with what tells the runs apart, how they ended and their last metrics.

use std::path::Path;

use super::cells::{number, setting, write_table};
use super::comparison::Comparison;
use super::settings::lookup;
use crate::error::Result;

/// The columns before the settings that tell the runs apart and the last metrics.
const COLUMNS: [&str; 4] = ["run", "state", "error", "epoch"];

/// Writes the table to `path`.
pub fn write(path: &Path, comparison: &Comparison) -> Result<()> {
    let (keys, metrics) = (&comparison.keys, comparison.metrics());
    let header = COLUMNS.iter().map(|&name| name.to_owned());
    let header = header.chain(keys.iter().cloned()).chain(metrics.clone());
    let rows = comparison.runs.iter().map(|run| {
        let mut cells = vec![
            run.run.clone(),
            run.state_name().to_owned(),
            run.error.clone().unwrap_or_default(),
            run.epoch().map_or(String::new(), |epoch| epoch.to_string()),
        ];
        cells.extend(keys.iter().map(|key| setting(lookup(&run.settings, key))));
        cells.extend(
            metrics
                .iter()
                .map(|name| number(run.metrics.get(name).copied())),
        );
        cells
    });
    write_table(path, header, rows)
}
