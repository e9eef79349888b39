//! The points of a sweep: the product of its lists, `zip` pairing some of them, `exclude` dropping combinations, `only`
//! adding lists to some, `sample` drawing from them, `seeds` repeating each.

use figment::value::Value;
use rand::Rng;
use rand::seq::SliceRandom;

use super::layers::SWEEP;
use super::location::Location;
use super::outcome::Outcome;
use super::sweep_range::Range;
use super::words::found;
use crate::rng::{Purpose, stream};

/// More points than this are a mistake in the lists.
pub const MAX_POINTS: usize = 10_000;

/// Combinations that `sample` may draw from.
const MAX_GRID: usize = 1_000_000;

/// A swept key and its values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub key: String,
    pub values: Values,
    /// The combinations that it applies to: all that have these values.
    pub scope: Vec<(String, Value)>,
    pub location: Location,
}

/// The values of a swept key.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Listed(Vec<Value>),
    /// One is drawn for each sampled point.
    Drawn(Range),
}

impl Values {
    pub fn listed(&self) -> &[Value] {
        match self {
            Self::Listed(values) => values,
            Self::Drawn(_) => &[],
        }
    }
}

/// How many points are drawn, and by which seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub n: usize,
    pub seed: u64,
}

/// A sweep: groups of axes that advance together, and the combinations left out.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    pub(super) axes: Vec<Axis>,
    /// Indices into `axes`; a group of one is a plain axis, more come from `zip`.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) exclude: Vec<Vec<(String, Value)>>,
    pub(super) sample: Option<Sample>,
    /// Index of the axis that `seeds` makes, which repeats every point.
    pub(super) seeds: Option<usize>,
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

    fn has(&self, entry: &[(String, Value)]) -> bool {
        entry.iter().all(|(key, value)| {
            let mut values = self.0.iter();
            values.any(|(swept, at, _)| swept == key && at == value)
        })
    }

    fn with(&self, axes: &[&Axis], at: usize) -> Self {
        let mut values = self.0.clone();
        for axis in axes {
            values.push((
                axis.key.clone(),
                axis.values.listed()[at].clone(),
                axis.location.clone(),
            ));
        }
        Self(values)
    }
}

impl Sweep {
    /// The swept keys.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for axis in &self.axes {
            if !keys.contains(&axis.key) {
                keys.push(axis.key.clone());
            }
        }
        keys
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
        self.expanded().unwrap_or_else(|(key, message)| {
            let location = match self.axes.first() {
                Some(axis) => axis.location.clone(),
                None => self.location(SWEEP),
            };
            outcome.fault(&location, key, &message);
            Vec::new()
        })
    }

    /// The points, or the key at fault and why.
    fn expanded(&self) -> Result<Vec<Combination>, (&'static str, String)> {
        let seeds = self
            .seeds
            .map_or(1, |axis| self.axes[axis].values.listed().len());
        let listed = |group: &&Vec<usize>| matches!(self.axes[group[0]].values, Values::Listed(_));
        let plain = |group: &&Vec<usize>| self.axes[group[0]].scope.is_empty();
        let lengths = self.groups.iter().filter(listed).filter(plain);
        let mut lengths = lengths.map(|group| self.axes[group[0]].values.listed().len());
        let product = lengths.try_fold(1usize, usize::checked_mul);
        let (limit, repeated) = match self.sample {
            Some(_) => (MAX_GRID, product),
            None => (
                MAX_POINTS,
                product.and_then(|product| product.checked_mul(seeds)),
            ),
        };
        let too_many = |size: Option<usize>| {
            let size = size.map_or("far".to_owned(), |size| size.to_string());
            let why = match self.sample {
                Some(_) => {
                    format!("combinations, more than the {limit} that a sample is drawn from")
                }
                None => format!("runs, more than the {limit} that one sweep may have"),
            };
            ("sweep", format!("makes {size} {why}"))
        };
        if repeated.is_none_or(|size| size > limit) {
            return Err(too_many(repeated));
        }
        let mut points = vec![Combination::default()];
        for group in self.groups.iter().filter(listed) {
            let axes: Vec<&Axis> = group.iter().map(|&axis| &self.axes[axis]).collect();
            let values = axes[0].values.listed().len();
            let mut next = Vec::with_capacity(points.len());
            for point in points {
                if point.has(&axes[0].scope) {
                    next.extend((0..values).map(|at| point.with(&axes, at)));
                } else {
                    next.push(point);
                }
            }
            if next.len() > limit {
                return Err(too_many(Some(next.len())));
            }
            points = next;
        }
        let whole = points.len();
        points.retain(|point| !self.is_excluded(point));
        if let Some(sample) = self.sample {
            points = self.sampled(points, sample)?;
        }
        if let Some(axis) = self.seeds {
            let axis = [&self.axes[axis]];
            let repeated = points.iter();
            let repeated = repeated.flat_map(|point| (0..seeds).map(|at| point.with(&axis, at)));
            points = repeated.filter(|point| !self.is_excluded(point)).collect();
        }
        if points.len() > MAX_POINTS {
            let size = points.len();
            let message =
                format!("makes {size} runs, more than the {MAX_POINTS} that one sweep may have");
            return Err(("sweep", message));
        }
        if points.is_empty() && whole > 0 {
            return Err(("sweep.exclude", "leaves out every run".into()));
        }
        // In the order of the spec, whatever advances together.
        let order = |key: &String| self.axes.iter().position(|axis| axis.key == *key);
        for point in &mut points {
            point.0.sort_by_key(|(key, ..)| order(key));
        }
        Ok(points)
    }

    /// The points of a sample. A longer sample begins with the same ones.
    fn sampled(
        &self,
        grid: Vec<Combination>,
        sample: Sample,
    ) -> Result<Vec<Combination>, (&'static str, String)> {
        let drawn: Vec<&Axis> = self
            .axes
            .iter()
            .filter(|axis| matches!(axis.values, Values::Drawn(_)))
            .collect();
        if drawn.is_empty() {
            if sample.n >= grid.len() {
                let message = format!(
                    "{} of {} combinations is no sample; leave it out",
                    sample.n,
                    grid.len()
                );
                return Err(("sweep.sample", message));
            }
            let mut order: Vec<usize> = (0..grid.len()).collect();
            order.shuffle(&mut stream(sample.seed, Purpose::Sweep, 0, 0, 0));
            order.truncate(sample.n);
            order.sort_unstable();
            return Ok(order.into_iter().map(|at| grid[at].clone()).collect());
        }
        if grid.is_empty() {
            return Ok(grid);
        }
        let mut points: Vec<Combination> = Vec::with_capacity(sample.n);
        let mut number = 0;
        while points.len() < sample.n {
            let mut rng = stream(sample.seed, Purpose::Sweep, 0, 0, number);
            number += 1;
            let mut point = grid[rng.random_range(0..grid.len() as u64) as usize].clone();
            for axis in &drawn {
                if let Values::Drawn(range) = &axis.values
                    && point.has(&axis.scope)
                {
                    let value = range.draw(&mut rng);
                    point
                        .0
                        .push((axis.key.clone(), value, axis.location.clone()));
                }
            }
            // Ranges of few whole numbers give the same values again, and may have no others.
            let label = point.label();
            if points.iter().all(|earlier| earlier.label() != label) {
                points.push(point);
            } else if number > 100 * sample.n as u64 {
                let message = format!(
                    "found {} different points where {} are asked for",
                    points.len(),
                    sample.n
                );
                return Err(("sweep.sample", message));
            }
        }
        Ok(points)
    }

    fn is_excluded(&self, point: &Combination) -> bool {
        let mut entries = self.exclude.iter();
        entries.any(|entry| !entry.is_empty() && point.has(entry))
    }
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
