//! Metrics over a swept number, epsilon or K for example: one chart a number and metric, one line a combination of
//! the other swept settings.

use std::collections::HashMap;

use super::cells::setting;
use super::chart::{Chart, Series, Ticks};
use super::comparison::{ComparedRun, Comparison};
use super::settings::lookup;
use crate::error::Result;
use crate::run::{RunState, run_number};

/// The charts of a name's runs, as (name, SVG). Only finished runs count.
pub fn charts(title: &str, comparison: &Comparison) -> Result<Vec<(String, String)>> {
    let finished = |run: &&ComparedRun| run.state == Some(RunState::Finished);
    let runs = latest(comparison.runs.iter().filter(finished).collect());
    let mut charts = Vec::new();
    for key in &comparison.keys {
        let Some(ticks) = ticks(&runs, key) else {
            continue;
        };
        for metric in &comparison.metrics() {
            let (factor, unit) = unit(metric);
            let chart = Chart {
                title: format!("{title}: {} over {key}", words(metric)),
                x_label: axis(key),
                y_label: format!("{}{unit}", words(metric)),
                x_ticks: ticks,
                y_bounds: match factor == 100.0 {
                    true => (0.0, 100.0),
                    false => (f64::NEG_INFINITY, f64::INFINITY),
                },
                series: series(&runs, &comparison.keys, key, metric, factor),
                markers: true,
            };
            // A single value of the number is no curve.
            if chart.series.iter().any(|series| series.points.len() > 1) {
                let svg = chart.svg()?;
                charts.extend(svg.map(|svg| (format!("sweep-{key}-{metric}"), svg)));
            }
        }
    }
    Ok(charts)
}

/// Without the runs that a later one of the same settings finished after, whose data or weights were others: two points in one
/// place are no curve.
fn latest(runs: Vec<&ComparedRun>) -> Vec<&ComparedRun> {
    let mut last: HashMap<String, usize> = HashMap::new();
    let named = runs.iter().map(|run| format!("{:?}", run.settings));
    let named: Vec<String> = named.collect();
    for (run, settings) in runs.iter().zip(&named) {
        let number = last.entry(settings.clone()).or_default();
        *number = run_number(&run.run).max(*number);
    }
    let is_last = |(run, settings): &(&ComparedRun, String)| last[settings] == run_number(&run.run);
    let kept = runs.into_iter().zip(named).filter(is_last);
    kept.map(|(run, _)| run).collect()
}

/// What the numbers of the key are; `None` where it is not a number in some run.
fn ticks(runs: &[&ComparedRun], key: &str) -> Option<Ticks> {
    let values = runs.iter().map(|run| lookup(&run.settings, key));
    let mut ticks = Ticks::Whole;
    for value in values {
        match value? {
            toml::Value::Integer(_) => {}
            toml::Value::Float(_) => ticks = Ticks::Real,
            _ => return None,
        }
    }
    Some(ticks)
}

/// One line a combination of the other keys, in the order in which they first appear.
fn series(
    runs: &[&ComparedRun],
    keys: &[String],
    x: &str,
    metric: &str,
    factor: f64,
) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for run in runs {
        let number = match lookup(&run.settings, x) {
            Some(toml::Value::Integer(number)) => *number as f64,
            Some(toml::Value::Float(number)) => *number,
            _ => continue,
        };
        let Some(value) = run.metrics.get(metric) else {
            continue;
        };
        let others = keys.iter().filter(|key| *key != x);
        let name: Vec<String> = others
            .map(|key| entry(key, lookup(&run.settings, key)))
            .collect();
        let name = match name.is_empty() {
            true => words(metric),
            false => name.join(", "),
        };
        let point = (number, factor * value);
        let place = *places.entry(name).or_insert_with_key(|name| {
            found.push(Series {
                name: name.clone(),
                points: Vec::new(),
            });
            found.len() - 1
        });
        found[place].points.push(point);
    }
    for series in &mut found {
        series.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    found
}

/// A setting in a legend, where there is little room: without the section `attack`, fractions of the pixel range as such,
/// other numbers to four digits.
fn entry(key: &str, value: Option<&toml::Value>) -> String {
    let text = match value {
        Some(toml::Value::Float(number)) => {
            let short = format!("{number:.3e}").parse().unwrap_or(*number);
            let levels = number * 255.0;
            let in_pixels = key.ends_with("epsilon") || key.ends_with("step_size");
            match in_pixels && short != *number && (levels - levels.round()).abs() < 1e-9 {
                true => format!("{levels:.0}/255"),
                false => short.to_string(),
            }
        }
        other => setting(other),
    };
    format!("{}={text}", key.strip_prefix("attack.").unwrap_or(key))
}

/// The factor and the unit in which a metric is shown.
fn unit(metric: &str) -> (f64, &'static str) {
    if metric.contains("accuracy") || metric.contains("success_rate") {
        (100.0, " (%)")
    } else if metric.ends_with("loss") {
        (1.0, " (per example)")
    } else {
        (1.0, "")
    }
}

/// A key as the label of an axis, with its unit where it has one.
fn axis(key: &str) -> String {
    let unit = if key.ends_with("attack.epsilon") || key.ends_with("attack.step_size") {
        " (1 = full pixel range)"
    } else if key.ends_with("attack.k") {
        " (iterations)"
    } else {
        ""
    };
    format!("{key}{unit}")
}

fn words(metric: &str) -> String {
    metric.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::settings::Settings;
    use crate::run::Metrics;
    use toml::Value;

    fn run(epsilon: f64, linear: bool, accuracy: f64, state: RunState) -> ComparedRun {
        ComparedRun {
            run: format!("exp/{epsilon}-{linear}"),
            state: Some(state),
            error: None,
            settings: Settings::from([
                ("attack.epsilon".to_owned(), Value::Float(epsilon)),
                ("linbp.attack".to_owned(), Value::Boolean(linear)),
            ]),
            metrics: Metrics::from([("test_pgd_accuracy".to_owned(), accuracy)]),
            stages: Vec::new(),
        }
    }

    #[test]
    fn entries_of_a_legend_are_short() {
        let of = |number: f64| entry("attack.epsilon", Some(&Value::Float(number)));
        assert_eq!(of(1.0 / 255.0), "epsilon=1/255");
        assert_eq!(of(0.0313), "epsilon=0.0313");
        assert_eq!(of(0.2), "epsilon=0.2");
        assert_eq!(of(0.123456), "epsilon=0.1235");
        let rate = entry("optimizer.lr", Some(&Value::Float(1.0 / 255.0)));
        assert_eq!(rate, "optimizer.lr=0.003922");
        let linear = entry("linbp.attack", Some(&Value::Boolean(false)));
        assert_eq!(linear, "linbp.attack=false");
    }

    #[test]
    fn one_chart_a_number_and_one_line_a_combination() {
        let done = RunState::Finished;
        let comparison = Comparison {
            keys: vec!["attack.epsilon".to_owned(), "linbp.attack".to_owned()],
            runs: vec![
                run(0.2, false, 0.5, done),
                run(0.1, false, 0.75, done),
                run(0.1, true, 0.25, done),
                run(0.2, true, 0.125, done),
                run(0.3, true, 0.0, RunState::Failed),
            ],
        };
        let runs: Vec<&ComparedRun> = comparison.runs[..4].iter().collect();
        let lines = series(
            &runs,
            &comparison.keys,
            "attack.epsilon",
            "test_pgd_accuracy",
            100.0,
        );
        assert_eq!(lines[0].name, "linbp.attack=false");
        assert_eq!(lines[0].points, [(0.1, 75.0), (0.2, 50.0)]);
        assert_eq!(lines[1].points, [(0.1, 25.0), (0.2, 12.5)]);
        let charts = charts("exp", &comparison).unwrap();
        assert_eq!(charts.len(), 1);
        assert_eq!(charts[0].0, "sweep-attack.epsilon-test_pgd_accuracy");
        assert!(
            charts[0]
                .1
                .contains("attack.epsilon (1 = full pixel range)")
        );
        assert!(charts[0].1.contains("test pgd accuracy (%)"));
    }
}
