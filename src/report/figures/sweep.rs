//! Metrics over what was swept: one chart a number and metric, one line a combination of the other settings; where no number
//! was swept, one chart a choice. Points are means over seeds.

use toml::Value;

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::report::comparison::Comparison;
use crate::report::groups::{Group, groups, keys, over_seeds};
use crate::report::words::{axis, metric_words, setting_words, unit, value_words};

/// Ticks at the swept values themselves; of more than so many an axis chooses.
const MOST_TICKS: usize = 12;
/// The least quotient of the largest by the smallest value that makes an axis logarithmic.
const LOG_RANGE: f64 = 30.0;

/// The charts of a name's runs, as (name, SVG). Only finished runs count.
pub fn charts(title: &str, comparison: &Comparison) -> Result<Vec<(String, String)>> {
    let groups = groups(comparison);
    let keys = keys(comparison, &groups);
    let scales: Vec<(&str, Scale)> = keys
        .iter()
        .filter_map(|key| Some((*key, Scale::of(&groups, key)?)))
        .collect();
    let any_number = scales.iter().any(|(_, scale)| scale.is_numeric);
    let metrics = comparison.main_metrics();
    let over_seeds = over_seeds(&groups);
    let mut charts = Vec::new();
    for (key, scale) in scales
        .iter()
        .filter(|(key, scale)| match &comparison.chosen.over {
            Some(over) => over == key,
            None => scale.is_numeric == any_number,
        })
    {
        for metric in &metrics {
            let (factor, unit) = unit(metric);
            let others: Vec<&str> = keys.iter().copied().filter(|other| other != key).collect();
            let chart = Chart {
                title: format!("{title}: {} over {key}{over_seeds}", metric_words(metric)),
                x_label: axis(key, scale.is_log),
                y_label: format!("{}{unit}", metric_words(metric)),
                x_ticks: scale.ticks(key),
                y_bounds: match factor == 100.0 {
                    true => (0.0, 100.0),
                    false => (f64::NEG_INFINITY, f64::INFINITY),
                },
                series: series(&groups, (key, scale), &others, metric, factor),
                markers: true,
            };
            // A single value is no curve.
            if chart.series.iter().any(|series| series.points.len() > 1) {
                let svg = chart.svg()?;
                charts.extend(svg.map(|svg| (format!("sweep-{key}-{metric}"), svg)));
            }
        }
    }
    Ok(charts)
}

/// The values of a swept setting along an axis.
#[derive(Debug)]
struct Scale {
    is_numeric: bool,
    /// Whether an axis shows the logarithms of its numbers.
    is_log: bool,
    is_whole: bool,
    /// Each once, numbers in their order.
    values: Vec<Value>,
}

impl Scale {
    /// Of a setting that every group has.
    fn of(groups: &[Group], key: &str) -> Option<Self> {
        let mut values: Vec<Value> = Vec::new();
        for group in groups {
            let value = group.setting(key)?;
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        let numbers: Vec<f64> = values.iter().filter_map(as_number).collect();
        let is_numeric = numbers.len() == values.len();
        if is_numeric {
            values.sort_by(|a, b| {
                as_number(a)
                    .partial_cmp(&as_number(b))
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        let smallest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = numbers.iter().copied().fold(0.0, f64::max);
        Some(Self {
            is_numeric,
            is_log: is_numeric && smallest > 0.0 && largest >= LOG_RANGE * smallest,
            is_whole: values.iter().all(Value::is_integer),
            values,
        })
    }

    /// Where a value stands; none where it is not on the axis.
    fn position(&self, value: &Value) -> Option<f64> {
        match (self.is_numeric, self.is_log) {
            (true, true) => as_number(value).map(f64::log10),
            (true, false) => as_number(value),
            (false, _) => self
                .values
                .iter()
                .position(|own| own == value)
                .map(|at| at as f64),
        }
    }

    fn ticks(&self, key: &str) -> Ticks {
        if self.values.len() > MOST_TICKS && !self.is_log {
            return if self.is_whole {
                Ticks::Whole
            } else {
                Ticks::Real
            };
        }
        let step = self.values.len().div_ceil(MOST_TICKS);
        let shown = self.values.iter().step_by(step.max(1));
        let label = |value: &Value| value_words(key, Some(value));
        Ticks::At(
            shown
                .filter_map(|value| Some((self.position(value)?, label(value))))
                .collect(),
        )
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// One line a combination of the other settings, in the order in which they first appear, BP before LinBP.
fn series(
    groups: &[Group],
    (key, scale): (&str, &Scale),
    others: &[&str],
    metric: &str,
    factor: f64,
) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    for group in groups {
        let position = group.setting(key).and_then(|value| scale.position(value));
        let (Some(x), Some(spread)) = (position, group.spread(metric)) else {
            continue;
        };
        let name: Vec<String> = others
            .iter()
            .map(|other| setting_words(other, group.setting(other)))
            .collect();
        let name = match name.is_empty() {
            true => metric_words(metric),
            false => name.join(", "),
        };
        let place = found.iter().position(|series| series.name == name);
        let place = place.unwrap_or_else(|| {
            found.push(Series {
                name,
                apart: !scale.is_numeric,
                ..Series::default()
            });
            found.len() - 1
        });
        found[place].points.push((x, factor * spread.mean));
        found[place]
            .deviations
            .push(factor * spread.deviation.unwrap_or(0.0));
    }
    for series in &mut found {
        let mut points: Vec<((f64, f64), f64)> = series
            .points
            .drain(..)
            .zip(series.deviations.drain(..))
            .collect();
        points.sort_by(|(a, _), (b, _)| a.0.total_cmp(&b.0));
        (series.points, series.deviations) = points.into_iter().unzip();
        if series.deviations.iter().all(|deviation| *deviation == 0.0) {
            series.deviations.clear();
        }
    }
    found.sort_by_key(|series| series.name.contains("LinBP"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::comparison::Chosen;
    use crate::report::comparison::ComparedRun;
    use crate::report::settings::Settings;
    use crate::run::{Metrics, RunState};

    fn run(epsilon: f64, linear: bool, seed: i64, accuracy: f64, state: RunState) -> ComparedRun {
        ComparedRun {
            run: format!("exp/{epsilon}-{linear}-{seed}"),
            state: Some(state),
            error: None,
            settings: Settings::from([
                ("attack.epsilon".to_owned(), Value::Float(epsilon)),
                ("linbp.attack".to_owned(), Value::Boolean(linear)),
                ("seed".to_owned(), Value::Integer(seed)),
            ]),
            metrics: Metrics::from([("test_pgd_accuracy".to_owned(), accuracy)]),
            stages: Vec::new(),
        }
    }

    #[test]
    fn one_chart_a_number_and_one_line_a_combination() {
        let done = RunState::Finished;
        let comparison = Comparison {
            keys: ["attack.epsilon", "linbp.attack", "seed"]
                .map(str::to_owned)
                .to_vec(),
            runs: vec![
                run(0.1, true, 0, 0.25, done),
                run(0.2, false, 0, 0.5, done),
                run(0.1, false, 0, 0.75, done),
                run(0.1, false, 1, 0.25, done),
                run(0.2, true, 0, 0.125, done),
                run(0.3, true, 0, 0.0, RunState::Failed),
            ],
            chosen: Chosen::default(),
        };
        let groups = groups(&comparison);
        let scale = Scale::of(&groups, "attack.epsilon").unwrap();
        let lines = series(
            &groups,
            ("attack.epsilon", &scale),
            &["linbp.attack"],
            "test_pgd_accuracy",
            100.0,
        );
        assert_eq!(
            (lines[0].name.as_str(), lines[1].name.as_str()),
            ("BP", "LinBP")
        );
        assert_eq!(lines[0].points, [(0.1, 50.0), (0.2, 50.0)]);
        assert!((lines[0].deviations[0] - 100.0 * 0.125f64.sqrt()).abs() < 1e-9);
        assert_eq!(lines[1].points, [(0.1, 25.0), (0.2, 12.5)]);
        assert!(lines[1].deviations.is_empty());
        let charts = charts("exp", &comparison).unwrap();
        assert_eq!(charts.len(), 1);
        assert_eq!(charts[0].0, "sweep-attack.epsilon-test_pgd_accuracy");
        for words in [
            "attack.epsilon (1 = full pixel range)",
            "test pgd accuracy (%)",
            "(mean ± std of 1 to 2 seeds)",
        ] {
            assert!(charts[0].1.contains(words), "{words}");
        }
    }

    #[test]
    fn choices_stand_apart_where_no_number_was_swept() {
        let runs: Vec<ComparedRun> = [false, true]
            .into_iter()
            .flat_map(|linear| {
                (0..3)
                    .map(move |seed| run(0.1, linear, seed, 0.1 * seed as f64, RunState::Finished))
            })
            .collect();
        let comparison = Comparison {
            keys: ["linbp.attack", "seed"].map(str::to_owned).to_vec(),
            runs,
            chosen: Chosen::default(),
        };
        let charts = charts("exp", &comparison).unwrap();
        assert_eq!(charts.len(), 1);
        assert_eq!(charts[0].0, "sweep-linbp.attack-test_pgd_accuracy");
        for tick in ["BP", "LinBP"] {
            assert!(charts[0].1.lines().any(|line| line == tick), "{tick}");
        }
    }

    #[test]
    fn wide_ranges_are_logarithmic_with_ticks_at_what_was_swept() {
        let runs =
            [0.001, 0.01, 0.1].map(|epsilon| run(epsilon, false, 0, 0.5, RunState::Finished));
        let comparison = Comparison {
            keys: vec!["attack.epsilon".to_owned()],
            runs: runs.into(),
            chosen: Chosen::default(),
        };
        let groups = groups(&comparison);
        let scale = Scale::of(&groups, "attack.epsilon").unwrap();
        assert!(scale.is_log);
        let labels = ["0.001", "0.01", "0.1"].map(str::to_owned);
        let Ticks::At(ticks) = scale.ticks("attack.epsilon") else {
            panic!("few values have a tick each")
        };
        for ((at, label), (expected, position)) in
            ticks.iter().zip(labels.iter().zip([-3.0, -2.0, -1.0]))
        {
            assert_eq!(label, expected);
            assert!((at - position).abs() < 1e-12);
        }
        let one = run(0.1, false, 0, 0.5, RunState::Finished);
        let single = Comparison {
            keys: Vec::new(),
            runs: vec![one],
            chosen: Chosen::default(),
        };
        assert!(charts("exp", &single).unwrap().is_empty());
    }
}
