//! The points of a sweep: the product of its lists, `zip` pairing some of them, `exclude` dropping combinations.

use figment::value::Value;

use super::layers::SWEEP;
use super::location::Location;
use super::outcome::Outcome;
use super::words::found;

/// More points than this are a mistake in the lists.
pub const MAX_POINTS: usize = 10_000;

/// A swept key and its values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub key: String,
    pub values: Vec<Value>,
    pub location: Location,
}

/// A sweep: groups of axes that advance together, and the combinations left out.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    pub(super) axes: Vec<Axis>,
    /// Indices into `axes`; a group of one is a plain axis, more come from `zip`.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) exclude: Vec<Vec<(String, Value)>>,
    /// Keys that the spec sweeps and that are set to one value from outside.
    pub(super) fixed: Vec<(String, Value)>,
}

/// The values of one point, by key, in the order of the spec.
#[derive(Clone, Debug, Default)]
pub(crate) struct Combination(pub Vec<(String, Value, Location)>);

impl Combination {
    /// The values as the label shows them.
    pub fn labels(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(key, value, _)| (key.clone(), value_label(value)))
            .collect()
    }

    /// `linbp.train=true,attack.k=5`.
    pub fn label(&self) -> String {
        let parts: Vec<String> = self
            .labels()
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        parts.join(",")
    }
}

impl Sweep {
    /// The swept keys.
    pub fn keys(&self) -> Vec<String> {
        self.axes.iter().map(|axis| axis.key.clone()).collect()
    }

    /// Where the values of a swept key are listed.
    pub fn location(&self, key: &str) -> Location {
        let axis = self.axes.iter().find(|axis| axis.key == key);
        let location = axis.map(|axis| axis.location.clone());
        location.unwrap_or_else(|| Location {
            layer: SWEEP.into(),
            file: None,
        })
    }

    /// All points, the last key varying fastest; a single empty one where nothing is swept.
    pub fn points(&self, outcome: &mut Outcome) -> Vec<Combination> {
        let lengths = self
            .groups
            .iter()
            .map(|group| self.axes[group[0]].values.len());
        let total = lengths.clone().try_fold(1usize, usize::checked_mul);
        let Some(total) = total.filter(|&total| total <= MAX_POINTS) else {
            let size = total.map_or("far".to_owned(), |total| total.to_string());
            let location = &self.axes[0].location;
            let message =
                format!("makes {size} runs, more than the {MAX_POINTS} that one sweep may have");
            outcome.fault(location, "sweep", &message);
            return Vec::new();
        };
        let lengths: Vec<usize> = lengths.collect();
        let mut points = Vec::with_capacity(total);
        for number in 0..total {
            let mut rest = number;
            let mut choice = vec![0; self.axes.len()];
            for (group, &length) in self.groups.iter().zip(&lengths).rev() {
                for &axis in group {
                    choice[axis] = rest % length;
                }
                rest /= length;
            }
            let values = self.axes.iter().zip(choice);
            let values = values.map(|(axis, at)| {
                (
                    axis.key.clone(),
                    axis.values[at].clone(),
                    axis.location.clone(),
                )
            });
            let point = Combination(values.collect());
            if !self
                .exclude
                .iter()
                .any(|entry| !entry.is_empty() && matches(&point, entry))
            {
                points.push(point);
            }
        }
        if points.is_empty() {
            outcome.fault(
                &self.axes[0].location,
                "sweep.exclude",
                "leaves out every run",
            );
        }
        points
    }
}

fn matches(point: &Combination, entry: &[(String, Value)]) -> bool {
    entry.iter().all(|(key, value)| {
        point
            .0
            .iter()
            .any(|(swept, at, _)| swept == key && at == value)
    })
}

/// A value as a label shows it: text without its quotes.
fn value_label(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Array(_, items) => {
            let items: Vec<String> = items.iter().map(value_label).collect();
            format!("[{}]", items.join("+"))
        }
        Value::Dict(_, entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{}", value_label(value)))
                .collect();
            format!("[{}]", entries.join("+"))
        }
        other => found(other),
    }
}
