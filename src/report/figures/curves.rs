//! Accuracy and loss over the epochs of a training.

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::run::MetricsRow;

/// The charts of accuracy, loss and learning rate of the stage whose rows these are, as (name, SVG); none where there are no epochs,
/// and none of a learning rate that stays.
pub fn charts(title: &str, rows: &[MetricsRow]) -> Result<Vec<(&'static str, String)>> {
    let rows: Vec<&MetricsRow> = rows.iter().filter(|row| row.epoch > 0).collect();
    let few = rows.iter().map(|row| row.epoch).max().unwrap_or(0) <= 25;
    let chart = |what: &str, y_label: &str, y_bounds, value: fn(&MetricsRow) -> Option<f64>| {
        Chart {
            title: format!("{title}: {what}"),
            x_label: "epoch".to_owned(),
            y_label: y_label.to_owned(),
            x_ticks: Ticks::Whole,
            y_bounds,
            series: series(&rows, value),
            markers: few,
        }
        .svg()
    };
    let accuracy = chart("accuracy", "accuracy (%)", (0.0, 100.0), |row| {
        row.accuracy.map(|share| 100.0 * share)
    })?;
    let unbounded = (0.0, f64::INFINITY);
    let loss = chart("loss", "loss (nats per example)", unbounded, |row| row.loss)?;
    let rate: fn(&MetricsRow) -> Option<f64> = |row| row.lr.filter(|_| row.split == "train");
    let mut rates = rows.iter().filter_map(|row| rate(row));
    let first = rates.next();
    let rate = match rates.any(|rate| Some(rate) != first) {
        true => chart("learning rate", "learning rate", unbounded, rate)?,
        false => None,
    };
    let found = [
        ("accuracy", accuracy),
        ("loss", loss),
        ("learning-rate", rate),
    ];
    Ok(found
        .into_iter()
        .filter_map(|(name, svg)| Some((name, svg?)))
        .collect())
}

/// One line per split and attack, in the order in which they first appear.
pub fn series(rows: &[&MetricsRow], value: fn(&MetricsRow) -> Option<f64>) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    for row in rows {
        let Some(y) = value(row) else {
            continue;
        };
        let name = match row.attack.as_str() {
            "none" | "" => row.split.clone(),
            attack => format!("{} under {attack}", row.split),
        };
        let point = (row.epoch as f64, y);
        match found.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => found.push(Series {
                name,
                points: vec![point],
                ..Series::default()
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u64, split: &str, attack: &str, accuracy: f64) -> MetricsRow {
        MetricsRow {
            epoch,
            split: split.into(),
            attack: attack.into(),
            accuracy: Some(accuracy),
            ..MetricsRow::default()
        }
    }

    #[test]
    fn a_line_a_split_and_attack() {
        let rows = [
            row(0, "test", "none", 0.1),
            row(1, "train", "pgd", 0.2),
            row(1, "test", "none", 0.3),
            row(1, "test", "pgd", 0.1),
            row(2, "train", "pgd", 0.4),
        ];
        let kept: Vec<&MetricsRow> = rows[1..].iter().collect();
        let lines = series(&kept, |row| row.accuracy);
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["train under pgd", "test", "test under pgd"]);
        assert_eq!(lines[0].points, [(1.0, 0.2), (2.0, 0.4)]);
        let charts = charts("exp", &rows).unwrap();
        assert_eq!(charts.len(), 1, "there are no losses to draw");
        assert_eq!(charts[0].0, "accuracy");
    }

    #[test]
    fn a_learning_rate_is_drawn_where_it_changes() {
        let drawn = |rates: [f64; 3]| {
            let rows = (1..).zip(rates).flat_map(|(epoch, rate)| {
                ["train", "test"].map(|split| MetricsRow {
                    lr: Some(rate),
                    ..row(epoch, split, "none", 0.5)
                })
            });
            let rows: Vec<MetricsRow> = rows.collect();
            let charts = charts("exp", &rows).unwrap();
            let found = charts
                .into_iter()
                .find(|(name, _)| *name == "learning-rate");
            found.map(|(_, svg)| svg)
        };
        let svg = drawn([0.1, 0.01, 0.001]).unwrap();
        assert!(svg.contains("train") && !svg.contains("test"), "{svg}");
        assert!(drawn([0.1, 0.1, 0.1]).is_none());
    }

    #[test]
    fn stages_without_epochs_have_no_curves() {
        assert!(
            charts("exp", &[row(0, "test", "none", 0.5)])
                .unwrap()
                .is_empty()
        );
    }
}
