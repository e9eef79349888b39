//! Figures as SVG, each with its name.

mod chart;
mod curves;
mod data_uri;
mod epochs;
mod examples;
mod grid;
mod heatmap;
mod layer_search;
mod palette;
mod simulations;
mod sweep;
mod x_axis;

use std::path::Path;

use super::comparison::Comparison;
use crate::error::Result;
use crate::run::{ExampleRow, LayerSearchRow, MetricsRow, TransferRow, files, table};
use simulations::Sums;

pub use chart::Series;
pub use curves::series;

/// The figures of a stage in `folder`, whose rows of `metrics.csv` are `rows`: curves over epochs, simulation curves, a grid
/// of adversarial images, what became of the attacked images by class and by the size of the change (`norm`: the attack's), heat
/// maps of transfer, searches for layers.
pub fn of_stage(
    title: &str,
    folder: &Path,
    norm: Option<&str>,
    rows: &[MetricsRow],
) -> Result<Vec<(String, String)>> {
    let simulation = table::fold(&folder.join(files::SIMULATION), |sums: &mut Sums, row| {
        sums.add(&row)
    })?;
    let examples = ExampleRow::read(&folder.join(files::EXAMPLES))?;
    let grid = grid::svg(title, folder, &examples)?.map(|svg| ("adversarial", svg));
    let transfer = TransferRow::read(&folder.join(files::TRANSFER))?;
    let found = curves::charts(title, rows)?
        .into_iter()
        .chain(simulations::charts(title, &simulation)?)
        .chain(grid)
        .map(|(name, svg)| (name.to_owned(), svg));
    let found = found.chain(examples::charts(title, norm, &examples)?);
    let searches = LayerSearchRow::read(&folder.join(files::LAYER_SEARCH))?;
    let found = found.chain(heatmap::charts(title, &transfer)?);
    Ok(found
        .chain(layer_search::charts(title, &searches)?)
        .collect())
}

/// How the names of figures over several runs begin.
pub const OVER_RUNS: [&str; 2] = ["sweep-", "epochs-"];

/// The figures over the finished runs of a name: metrics over what was swept, accuracies over epochs.
pub fn over_runs(title: &str, comparison: &Comparison) -> Result<Vec<(String, String)>> {
    let mut charts = sweep::charts(title, comparison)?;
    charts.extend(epochs::charts(title, comparison)?);
    Ok(charts)
}
