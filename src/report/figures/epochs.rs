//! Accuracies over the epochs of the trainings of a name: one chart a split and attack, one line a combination of settings,
//! means over seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::report::comparison::Comparison;
use crate::report::groups::{Group, Spread, groups, keys, over_seeds};
use crate::report::words::setting_words;

/// Lines that a chart can tell apart.
const MOST: usize = 12;

/// What a measurement is of: its stage, split and attack.
type Kind = (String, String, String);

/// The charts of a name's finished runs, as (name, SVG); none of a single run, which has its own.
pub fn charts(title: &str, comparison: &Comparison) -> Result<Vec<(String, String)>> {
    let groups = groups(comparison);
    let keys = keys(comparison, &groups);
    let runs: usize = groups.iter().map(|group| group.runs.len()).sum();
    if runs < 2 || groups.len() > MOST {
        return Ok(Vec::new());
    }
    let kinds: BTreeSet<Kind> = groups.iter().flat_map(kinds).collect();
    let stages: BTreeSet<&str> = kinds.iter().map(|(stage, ..)| stage.as_str()).collect();
    let over_seeds = over_seeds(&groups);
    let mut charts = Vec::new();
    for kind in &kinds {
        let (stage, split, attack) = kind;
        let under = match attack.as_str() {
            "none" | "" => String::new(),
            attack => format!(" under {attack}"),
        };
        let of = if stages.len() > 1 {
            format!(" of {stage}")
        } else {
            String::new()
        };
        let words = |group: &Group| -> String {
            let words = keys
                .iter()
                .map(|key| setting_words(key, group.setting(key)));
            match keys.is_empty() {
                true => split.clone(),
                false => words.collect::<Vec<_>>().join(", "),
            }
        };
        let mut series: Vec<Series> = groups
            .iter()
            .map(|group| Series {
                name: words(group),
                ..line(group, kind)
            })
            .collect();
        series.sort_by_key(|series| series.name.contains("LinBP"));
        let longest = series.iter().map(|series| series.points.len()).max();
        let chart = Chart {
            title: format!("{title}: {split} accuracy{under}{of}{over_seeds}"),
            x_label: "epoch".to_owned(),
            y_label: format!("{split} accuracy{under} (%)"),
            x_ticks: Ticks::Whole,
            y_bounds: (0.0, 100.0),
            series,
            markers: longest.is_some_and(|points| points <= 25),
        };
        // A single epoch is no curve.
        if longest > Some(1) {
            let of = if stages.len() > 1 {
                format!("{stage}-")
            } else {
                String::new()
            };
            let svg = chart.svg()?;
            charts.extend(svg.map(|svg| (format!("epochs-{of}{split}-{attack}"), svg)));
        }
    }
    Ok(charts)
}

/// What is measured after epochs on images that are not trained on.
fn kinds(group: &Group) -> BTreeSet<Kind> {
    let stages = group.runs.iter().flat_map(|run| &run.stages);
    let rows = stages.flat_map(|stage| &stage.rows);
    let rows = rows.filter(|row| row.epoch > 0 && row.split.starts_with("test"));
    rows.map(|row| (row.stage.clone(), row.split.clone(), row.attack.clone()))
        .collect()
}

/// The accuracies of a group, at the epochs that all of its runs have.
fn line(group: &Group, (stage, split, attack): &Kind) -> Series {
    let mut found: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in &group.runs {
        let rows = run.stages.iter().flat_map(|stage| &stage.rows);
        for row in rows.filter(|row| row.epoch > 0) {
            let same = (&row.stage, &row.split, &row.attack) == (stage, split, attack);
            if let (true, Some(accuracy)) = (same, row.accuracy) {
                found.entry(row.epoch).or_default().push(100.0 * accuracy);
            }
        }
    }
    let mut series = Series::default();
    for (epoch, accuracies) in found {
        if let (true, Some(spread)) = (
            accuracies.len() == group.runs.len(),
            Spread::of(&accuracies),
        ) {
            series.points.push((epoch as f64, spread.mean));
            series.deviations.extend(spread.deviation);
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::comparison::Chosen;
    use crate::report::comparison::{ComparedRun, ComparedStage};
    use crate::report::settings::Settings;
    use crate::run::{Metrics, MetricsRow, RunState, StageRecord};
    use toml::Value;

    fn run(linear: bool, seed: i64, accuracies: &[f64]) -> ComparedRun {
        let row = |(epoch, accuracy): (usize, &f64)| MetricsRow {
            stage: "main".to_owned(),
            epoch: epoch as u64 + 1,
            split: "test".to_owned(),
            attack: "pgd".to_owned(),
            accuracy: Some(*accuracy),
            ..MetricsRow::default()
        };
        ComparedRun {
            run: format!("exp/{linear}-{seed}"),
            state: Some(RunState::Finished),
            error: None,
            settings: Settings::from([
                ("linbp.train".to_owned(), Value::Boolean(linear)),
                ("seed".to_owned(), Value::Integer(seed)),
            ]),
            metrics: Metrics::new(),
            stages: vec![ComparedStage {
                record: StageRecord {
                    id: "main".to_owned(),
                    task: "train".to_owned(),
                    seed: None,
                    key: String::new(),
                    folder: ".".to_owned(),
                    state: RunState::Finished,
                    metrics: Metrics::new(),
                },
                rows: accuracies.iter().enumerate().map(row).collect(),
                transfer: Vec::new(),
            }],
        }
    }

    #[test]
    fn bp_and_linbp_stand_in_one_chart_with_their_seeds_taken_together() {
        let comparison = Comparison {
            keys: ["linbp.train", "seed"].map(str::to_owned).to_vec(),
            runs: vec![
                run(true, 0, &[0.5, 0.75]),
                run(false, 0, &[0.25, 0.5]),
                run(false, 1, &[0.75, 0.5, 0.9]),
            ],
            chosen: Chosen::default(),
        };
        let groups = groups(&comparison);
        let kind = kinds(&groups[1]).into_iter().next().unwrap();
        let line = line(&groups[1], &kind);
        // The third epoch is that of one run alone.
        assert_eq!(line.points, [(1.0, 50.0), (2.0, 50.0)]);
        assert!((line.deviations[0] - 100.0 * 0.125f64.sqrt()).abs() < 1e-9);
        let charts = charts("exp", &comparison).unwrap();
        assert_eq!(charts.len(), 1);
        assert_eq!(charts[0].0, "epochs-test-pgd");
        for words in ["BP training", "LinBP training", "test accuracy under pgd"] {
            assert!(charts[0].1.contains(words), "{words}");
        }
        let one = Comparison {
            keys: Vec::new(),
            runs: vec![run(false, 0, &[0.5, 0.75])],
            chosen: Chosen::default(),
        };
        assert!(super::charts("exp", &one).unwrap().is_empty());
    }
}
