//! Metrics over what was swept: one chart for each number and metric, with one line for each combination of the other settings, for
//! each stage where several have the metric, and for BP and LinBP where a transfer has both; where no number was swept, one chart
//! for each choice. Points are means over seeds.

use std::collections::BTreeSet;

use toml::Value;

use super::chart::{Chart, Series, Ticks};
use crate::error::Result;
use crate::report::comparison::Comparison;
use crate::report::groups::{Group, groups, keys, over_seeds, shared_name};
use crate::report::words::{axis, method, metric_words, setting_words, unit, value_words};
use crate::run::shared_by_rules;

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
    let metrics = by_name(comparison);
    let over_seeds = over_seeds(&groups);
    let mut charts = Vec::new();
    for (key, scale) in scales
        .iter()
        .filter(|(key, scale)| match &comparison.chosen.over {
            Some(over) => over == key || over == shared_name(key, comparison),
            None => scale.is_numeric == any_number,
        })
    {
        let name = shared_name(key, comparison);
        for (metric, alike) in &metrics {
            let (factor, unit) = unit(metric);
            let others = keys.iter().filter(|other| *other != key);
            let others = others.map(|other| (*other, shared_name(other, comparison)));
            let others: Vec<(&str, &str)> = others.collect();
            let chart = Chart {
                title: format!("{title}: {} over {name}{over_seeds}", metric_words(metric)),
                x_label: axis(name, scale.is_log),
                y_label: format!("{}{unit}", metric_words(metric)),
                x_ticks: scale.ticks(key),
                y_bounds: match factor == 100.0 {
                    true => (0.0, 100.0),
                    false => (f64::NEG_INFINITY, f64::INFINITY),
                },
                series: series(&groups, (key, scale), &others, alike, factor),
                markers: true,
            };
            // A single value is no curve.
            if chart.series.iter().any(|series| series.points.len() > 1) {
                let svg = chart.svg()?;
                charts.extend(svg.map(|svg| (format!("sweep-{name}-{metric}"), svg)));
            }
        }
    }
    Ok(charts)
}

/// Metrics that a chart shows, each with the words that tell its lines from those of the others.
type Alike = Vec<(Vec<String>, String)>;

/// The metrics to draw by their names: one chart has those of all stages, and of a transfer by BP and by LinBP. A metric without its
/// like is called as its stage calls it.
fn by_name(comparison: &Comparison) -> Vec<(String, Alike)> {
    struct Part {
        stage: Option<String>,
        linear: Option<bool>,
        metric: String,
    }
    let stages = comparison.runs.iter().flat_map(|run| &run.stages);
    let stages: BTreeSet<&str> = stages.map(|stage| stage.record.id.as_str()).collect();
    let mut found: Vec<(String, Vec<Part>)> = Vec::new();
    for metric in comparison.main_metrics() {
        let parts = metric.split_once('.');
        let (stage, name) = match parts.filter(|(stage, _)| stages.contains(stage)) {
            Some((stage, name)) => (Some(stage.to_owned()), name.to_owned()),
            None => (None, metric.clone()),
        };
        let (name, linear) = match shared_by_rules(&name) {
            Some((shared, linear)) => (shared, Some(linear)),
            None => (name, None),
        };
        let part = Part {
            stage,
            linear,
            metric,
        };
        match found.iter_mut().find(|(other, _)| *other == name) {
            Some((_, parts)) => parts.push(part),
            None => found.push((name, vec![part])),
        }
    }
    let named = found.into_iter().map(|(name, parts)| {
        let differ_in_stage = parts.iter().any(|part| part.stage != parts[0].stage);
        let differ_in_rule = parts.iter().any(|part| part.linear != parts[0].linear);
        let name = match (parts.as_slice(), &parts[0].stage) {
            ([only], _) => only.metric.clone(),
            (_, Some(stage)) if !differ_in_stage => format!("{stage}.{name}"),
            _ => name,
        };
        let alike = parts.into_iter().map(|part| {
            let stage = part.stage.filter(|_| differ_in_stage);
            let rule = part.linear.filter(|_| differ_in_rule);
            let rule = rule.map(|linear| method(linear).to_owned());
            (stage.into_iter().chain(rule).collect(), part.metric)
        });
        (name, alike.collect())
    });
    named.collect()
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

/// One line for each of the metrics and combination of the other settings, in the order in which they first appear, BP before LinBP.
fn series(
    groups: &[Group],
    (key, scale): (&str, &Scale),
    others: &[(&str, &str)],
    alike: &Alike,
    factor: f64,
) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    let all = alike
        .iter()
        .flat_map(|metric| groups.iter().map(move |group| (metric, group)));
    for ((words, metric), group) in all {
        let position = group.setting(key).and_then(|value| scale.position(value));
        let (Some(x), Some(spread)) = (position, group.spread(metric)) else {
            continue;
        };
        let others = others.iter();
        let others = others.map(|(key, name)| setting_words(name, group.setting(key)));
        let name: Vec<String> = words.iter().cloned().chain(others).collect();
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
#[path = "sweep_tests.rs"]
mod tests;
