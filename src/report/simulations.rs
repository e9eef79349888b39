//! Distance and loss over the steps of a simulation: the mean over the repeats, BP and LinBP.

use std::collections::BTreeMap;

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::run::{Method, SimulationRow};

/// More points a line than this cannot be seen.
const MAX_POINTS: usize = 600;

/// The charts of a simulation, as (name, SVG).
pub fn charts(title: &str, rows: &[SimulationRow]) -> Result<Vec<(&'static str, String)>> {
    let chart = |what: &str, y_label: &str, value: fn(&SimulationRow) -> Option<f64>| {
        let repeats = rows.iter().map(|row| row.repeat + 1).max().unwrap_or(0);
        Chart {
            title: format!("{title}: {what}, mean of {repeats} repeats"),
            x_label: "step".to_owned(),
            y_label: y_label.to_owned(),
            x_ticks: Ticks::Whole,
            y_bounds: (0.0, f64::INFINITY),
            series: [(Method::Bp, "BP"), (Method::Linbp, "LinBP")]
                .map(|(method, name)| mean(rows, method, name, value))
                .into(),
            markers: false,
        }
        .svg()
    };
    let distance = chart("distance to the target", "l1 distance", |row| {
        Some(row.l1_distance)
    })?;
    let loss = chart("loss", "loss (half mean squared error)", |row| row.loss)?;
    let found = [("simulation-distance", distance), ("simulation-loss", loss)];
    Ok(found
        .into_iter()
        .filter_map(|(name, svg)| Some((name, svg?)))
        .collect())
}

/// The mean over the repeats of one method, at steps evenly chosen where there are many.
fn mean(
    rows: &[SimulationRow],
    method: Method,
    name: &str,
    value: fn(&SimulationRow) -> Option<f64>,
) -> Series {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.method == method) {
        if let Some(y) = value(row) {
            let sum = sums.entry(row.step).or_default();
            *sum = (sum.0 + 1.0, sum.1 + y);
        }
    }
    let every = sums.len().div_ceil(MAX_POINTS).max(1);
    let last = sums.len().saturating_sub(1);
    let chosen = sums
        .into_iter()
        .enumerate()
        .filter(|(index, _)| index % every == 0 || *index == last);
    Series {
        name: name.to_owned(),
        points: chosen
            .map(|(_, (step, (count, sum)))| (step as f64, sum / count))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(steps: u64) -> Vec<SimulationRow> {
        let mut rows = Vec::new();
        for repeat in 0..2 {
            for step in 1..=steps {
                for method in [Method::Bp, Method::Linbp] {
                    rows.push(SimulationRow {
                        repeat,
                        step,
                        method,
                        l1_distance: (repeat * 2 + step) as f64,
                        loss: None,
                    });
                }
            }
        }
        rows
    }

    #[test]
    fn means_are_over_the_repeats() {
        let line = mean(&rows(2), Method::Bp, "BP", |row| Some(row.l1_distance));
        assert_eq!(line.points, [(1.0, 2.0), (2.0, 3.0)]);
    }

    #[test]
    fn long_lines_keep_their_ends() {
        let line = mean(&rows(5000), Method::Linbp, "LinBP", |row| {
            Some(row.l1_distance)
        });
        assert!(line.points.len() <= MAX_POINTS + 1);
        assert_eq!(line.points[0].0, 1.0);
        assert_eq!(line.points.last().unwrap().0, 5000.0);
    }

    #[test]
    fn what_was_not_recorded_is_not_drawn() {
        let charts = charts("exp", &rows(3)).unwrap();
        assert_eq!(charts.len(), 1);
        assert!(charts[0].1.contains("LinBP"));
    }
}
