//! The points of a sweep: the product of its lists, `zip` pairing some of them, `exclude` dropping combinations.

use figment::value::{Dict, Value};

use super::fields::{found, join};
use super::layers::{Layers, Point};
use super::location::{Locate, Location};
use super::outcome::Outcome;

/// More points than this are a mistake in the lists.
pub const MAX_POINTS: usize = 10_000;

/// A swept key and its values.
#[derive(Clone, Debug)]
struct Axis {
    key: String,
    values: Vec<Value>,
    place: Location,
}

/// A sweep: groups of axes that advance together, and the combinations left out.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    axes: Vec<Axis>,
    /// Indices into `axes`; a group of one is a plain axis, more come from `zip`.
    groups: Vec<Vec<usize>>,
    exclude: Vec<Vec<(String, Value)>>,
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
    /// Reads the sweep of a spec, noting its faults.
    pub fn read(layers: &Layers, plain: &Point, outcome: &mut Outcome) -> Self {
        let merged = plain.merged();
        let Some(written) = merged.get("sweep") else {
            return Self::default();
        };
        let Some(table) = written.as_dict() else {
            let place = plain.locate("sweep", written.tag());
            outcome.fault(
                &place,
                "sweep",
                &format!("expected a table, found {}", found(written)),
            );
            return Self::default();
        };
        let mut sweep = Self::default();
        sweep.read_axes(table, layers, plain, outcome);
        sweep.read_zip(table, plain, outcome);
        sweep.read_exclude(table, plain, outcome);
        sweep
    }

    fn read_axes(&mut self, table: &Dict, layers: &Layers, places: &Point, outcome: &mut Outcome) {
        let mut lists = flatten(table, "");
        let order = |key: &String| layers.swept.iter().position(|known| known == key);
        lists.sort_by_key(|(key, _)| order(key));
        for (key, value) in lists {
            if key == "zip" || key == "exclude" {
                continue;
            }
            let place = places.locate(&format!("sweep.{key}"), value.tag());
            let name = format!("sweep.{key}");
            if layers.overridden.contains(&key) && !layers.swept_by_hand.contains(&key) {
                let remark = format!(
                    "{place}: {name}: has no effect: {key} is set to one value from outside"
                );
                outcome.remarks.push(remark);
                continue;
            }
            if key == "name" || key == "extends" || key.starts_with("sweep") {
                outcome.fault(&place, &name, "cannot be swept");
                continue;
            }
            let Some(values) = value.as_array() else {
                let message = format!("expected a list of values, found {}", found(value));
                outcome.fault(&place, &name, &message);
                continue;
            };
            if values.is_empty() {
                outcome.fault(
                    &place,
                    &name,
                    "an empty list makes no runs; write at least one value",
                );
                continue;
            }
            // A longer list is refused as a whole.
            let values_to_compare = &values[..values.len().min(MAX_POINTS)];
            let twice = values_to_compare
                .iter()
                .enumerate()
                .find(|(at, value)| values_to_compare[..*at].contains(value));
            if let Some((_, value)) = twice {
                outcome.fault(
                    &place,
                    &name,
                    &format!("the value {} appears twice", found(value)),
                );
                continue;
            }
            self.axes.push(Axis {
                key,
                values: values.to_vec(),
                place,
            });
        }
    }

    fn read_zip(&mut self, table: &Dict, places: &Point, outcome: &mut Outcome) {
        let expected = "expected lists of swept keys, such as zip = [[\"attack.epsilon\", \"attack.step_size\"]]";
        let mut zipped: Vec<Vec<usize>> = Vec::new();
        if let Some(value) = table.get("zip") {
            let place = places.locate("sweep.zip", value.tag());
            match value.deserialize::<Vec<Vec<String>>>() {
                Err(_) => outcome.fault(
                    &place,
                    "sweep.zip",
                    &format!("{expected}, found {}", found(value)),
                ),
                Ok(groups) => {
                    for keys in groups {
                        match self.group(&keys, &zipped) {
                            Ok(group) => zipped.push(group),
                            Err(message) => outcome.fault(&place, "sweep.zip", &message),
                        }
                    }
                }
            }
        }
        // A group advances where its first key stands.
        for axis in 0..self.axes.len() {
            match zipped.iter().find(|group| group.contains(&axis)) {
                None => self.groups.push(vec![axis]),
                Some(group) if group.iter().min() == Some(&axis) => self.groups.push(group.clone()),
                Some(_) => {}
            }
        }
    }

    fn group(&self, keys: &[String], others: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        if keys.len() < 2 {
            return Err("pairs at least two keys".into());
        }
        let mut group: Vec<usize> = Vec::new();
        for key in keys {
            let Some(axis) = self.axes.iter().position(|axis| axis.key == *key) else {
                return Err(format!("\"{key}\" is not swept here"));
            };
            if group.contains(&axis) || others.iter().any(|other| other.contains(&axis)) {
                return Err(format!("\"{key}\" appears twice"));
            }
            let (first, length) = (
                &self.axes[*group.first().unwrap_or(&axis)],
                self.axes[axis].values.len(),
            );
            if first.values.len() != length {
                return Err(format!(
                    "pairs lists of one length, and \"{}\" has {} values, \"{key}\" {length}",
                    first.key,
                    first.values.len()
                ));
            }
            group.push(axis);
        }
        Ok(group)
    }

    fn read_exclude(&mut self, table: &Dict, places: &Point, outcome: &mut Outcome) {
        let Some(value) = table.get("exclude") else {
            return;
        };
        let place = places.locate("sweep.exclude", value.tag());
        let dicts = value
            .as_array()
            .map(|items| items.iter().map(Value::as_dict).collect::<Option<Vec<_>>>());
        let Some(Some(dicts)) = dicts else {
            let message =
                "expected a list of tables, such as exclude = [{ \"attack.k\" = 1 }], found";
            outcome.fault(
                &place,
                "sweep.exclude",
                &format!("{message} {}", found(value)),
            );
            return;
        };
        for dict in dicts {
            let mut entry = Vec::new();
            for (key, value) in flatten(dict, "") {
                let message = match self.axes.iter().find(|axis| axis.key == key) {
                    None => format!("\"{key}\" is not swept here"),
                    Some(axis) if !axis.values.contains(value) => {
                        format!("\"{key}\" never is {}", found(value))
                    }
                    Some(_) => {
                        entry.push((key, value.clone()));
                        continue;
                    }
                };
                outcome.fault(&place, "sweep.exclude", &message);
            }
            if dict.is_empty() {
                outcome.fault(
                    &place,
                    "sweep.exclude",
                    "an empty table would leave out every run",
                );
            }
            self.exclude.push(entry);
        }
    }

    /// The swept keys.
    pub fn keys(&self) -> Vec<String> {
        self.axes.iter().map(|axis| axis.key.clone()).collect()
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
            let place = &self.axes[0].place;
            let message =
                format!("makes {size} runs, more than the {MAX_POINTS} that one sweep may have");
            outcome.fault(place, "sweep", &message);
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
                    axis.place.clone(),
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
            outcome.fault(&self.axes[0].place, "sweep.exclude", "leaves out every run");
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

/// The values below a table by dotted key: `linbp.train` may be written with or without quotes.
fn flatten<'a>(table: &'a Dict, prefix: &str) -> Vec<(String, &'a Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        let path = join(prefix, key);
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => flat.extend(flatten(inner, &path)),
            value => flat.push((path, value)),
        }
    }
    flat
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
