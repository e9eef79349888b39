//! How well images carry over, by where the linear activations start.

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::run::LayerSearchRow;

/// A figure for each surrogate and attack: BP as a level, LinBP over the position of its first linear activation.
pub fn charts(title: &str, rows: &[LayerSearchRow]) -> Result<Vec<(String, String)>> {
    let mut searches: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (&*row.surrogate, &*row.attack))
        .collect();
    searches.dedup();
    let charts = searches.into_iter().map(|(surrogate, attack)| {
        let own = rows.iter().filter(|row| row.is_of(surrogate, attack));
        let own: Vec<&LayerSearchRow> = own.collect();
        let svg = chart(title, surrogate, attack, &own).svg()?;
        Ok(svg.map(|svg| (format!("layers-{surrogate}-{attack}"), svg)))
    });
    charts.filter_map(Result::transpose).collect()
}

fn chart(title: &str, surrogate: &str, attack: &str, rows: &[&LayerSearchRow]) -> Chart {
    let per_cent = |row: &LayerSearchRow| 100.0 * row.success_rate;
    let linear = rows.iter().filter(|row| row.layers.is_some());
    let points = linear.map(|row| (row.depth as f64, per_cent(row)));
    let points: Vec<(f64, f64)> = points.collect();
    let last = points.iter().map(|(depth, _)| *depth).fold(1.0, f64::max);
    let level = rows.iter().find(|row| row.layers.is_none());
    let level = level.map(|row| per_cent(row));
    let level = level.map_or(Vec::new(), |level| vec![(1.0, level), (last, level)]);
    let from = rows.iter().any(|row| {
        row.layers
            .as_ref()
            .is_some_and(|layers| layers.starts_with("from:"))
    });
    let what = if from {
        "linear from here to the output"
    } else {
        "linear alone"
    };
    let series = |name: &str, points| Series {
        name: name.to_owned(),
        points,
        ..Series::default()
    };
    Chart {
        title: format!("{title}: {attack} on {surrogate}"),
        x_label: format!("activation, counted from the output: {what}"),
        y_label: "validation images that carry over (%)".to_owned(),
        x_ticks: Ticks::Whole,
        y_bounds: (0.0, 100.0),
        series: vec![series("BP", level), series("LinBP", points)],
        markers: true,
    }
}
