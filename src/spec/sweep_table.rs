//! Reads the table `[sweep]`: its lists and ranges, and the words that say what becomes of them.

use std::collections::BTreeSet;

use figment::value::{Dict, Value};

use super::fields::join;
use super::layers::{Layers, Point};
use super::location::Locate;
use super::outcome::Outcome;
use super::sweep::{Axis, MAX_POINTS, Sweep, Values};
use super::sweep_range::{Range, is_range};
use super::words::found;

/// What the table has beside swept keys.
const WORDS: [&str; 5] = ["zip", "exclude", "only", "sample", "seeds"];

impl Sweep {
    /// Reads the sweep of a spec, noting its faults.
    pub fn read(layers: &Layers, plain: &Point, outcome: &mut Outcome) -> Self {
        let merged = plain.merged();
        let Some(written) = merged.get("sweep") else {
            return Self::default();
        };
        let Some(table) = written.as_dict() else {
            let location = plain.locate("sweep", written.tag());
            outcome.fault(
                &location,
                "sweep",
                &format!("expected a table, found {}", found(written)),
            );
            return Self::default();
        };
        let mut sweep = Self::default();
        sweep.read_axes(table, &merged, layers, plain, outcome);
        sweep.read_only(table, plain, outcome);
        sweep.read_zip(table, &layers.together, plain, outcome);
        sweep.refuse_twins(outcome);
        sweep.read_seeds(table, &merged, plain, outcome);
        sweep.read_exclude(table, plain, outcome);
        sweep.read_sample(table, plain, outcome);
        sweep
    }

    fn read_axes(
        &mut self,
        table: &Dict,
        merged: &Dict,
        layers: &Layers,
        locations: &Point,
        outcome: &mut Outcome,
    ) {
        let mut lists = flatten(table, "");
        let order = |key: &String| layers.swept.iter().position(|known| known == key);
        lists.sort_by_key(|(key, _)| order(key));
        // A file may write a key as one word, the command line has a table for each of its parts: its list takes that one's place.
        lists.retain(|(key, value)| {
            let by_hand = layers.swept_by_hand.contains(key);
            !by_hand || lookup(table, key).is_some_and(|list| std::ptr::eq(list, *value))
        });
        for (key, value) in lists {
            if WORDS.contains(&key.as_str()) {
                continue;
            }
            let location = locations.locate(&format!("sweep.{key}"), value.tag());
            let name = format!("sweep.{key}");
            if layers.overridden.contains(&key) && !layers.swept_by_hand.contains(&key) {
                let remark = format!(
                    "{location}: {name}: has no effect: {key} is set to one value from outside"
                );
                outcome.remarks.push(remark);
                if let Some(value) = lookup(merged, &key) {
                    self.fixed.push((key, value.clone()));
                }
                continue;
            }
            match read_values(&key, value) {
                Ok(values) => self.axes.push(Axis {
                    key,
                    values,
                    scope: Vec::new(),
                    location,
                }),
                Err(message) => outcome.fault(&location, &name, &message),
            }
        }
    }

    /// Why a combination with that value never comes, if so.
    pub(super) fn never(&self, key: &str, value: &Value) -> Option<String> {
        let mut axes = self.axes.iter().filter(|axis| axis.key == key).peekable();
        if axes.peek().is_none() {
            return Some(format!("\"{key}\" is not swept here"));
        }
        let comes = |axis: &Axis| axis.values.listed().contains(value);
        (!axes.any(comes)).then(|| format!("\"{key}\" never is {}", found(value)))
    }

    fn read_zip(
        &mut self,
        table: &Dict,
        together: &[String],
        locations: &Point,
        outcome: &mut Outcome,
    ) {
        let expected = "expected lists of swept keys, such as zip = [[\"attack.epsilon\", \"attack.step_size\"]]";
        let mut zipped: Vec<Vec<usize>> = Vec::new();
        let of_points = |axis: &Axis| together.contains(&axis.key) && axis.scope.is_empty();
        let axes = self.axes.iter().enumerate();
        let rows: Vec<usize> = axes
            .filter_map(|(number, axis)| of_points(axis).then_some(number))
            .collect();
        if rows.len() > 1 {
            zipped.push(rows);
        }
        if let Some(value) = table.get("zip") {
            let location = locations.locate("sweep.zip", value.tag());
            match value.deserialize::<Vec<Vec<String>>>() {
                Err(_) => outcome.fault(
                    &location,
                    "sweep.zip",
                    &format!("{expected}, found {}", found(value)),
                ),
                Ok(groups) => {
                    for keys in groups {
                        match self.group(&keys, &zipped) {
                            Ok(group) => zipped.push(group),
                            Err(message) => outcome.fault(&location, "sweep.zip", &message),
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

    /// Refuses a value, or a row of values that advance together, that stands there twice.
    fn refuse_twins(&self, outcome: &mut Outcome) {
        for group in &self.groups {
            let axes: Vec<&Axis> = group.iter().map(|&axis| &self.axes[axis]).collect();
            // A longer list is refused as a whole.
            let rows = axes[0].values.listed().len().min(MAX_POINTS);
            let row = |at: usize| {
                axes.iter()
                    .map(move |axis| found(&axis.values.listed()[at]))
            };
            let mut seen = BTreeSet::new();
            let mut rows = (0..rows).map(|at| row(at).collect::<Vec<String>>());
            let Some(values) = rows.find(|row| !seen.insert(row.clone())) else {
                continue;
            };
            let message = match group.len() {
                1 => format!("the value {} appears twice", values[0]),
                _ => format!("the values {} appear twice together", values.join(", ")),
            };
            outcome.fault(
                &axes[0].location,
                &format!("sweep.{}", axes[0].key),
                &message,
            );
        }
    }

    fn group(&self, keys: &[String], others: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        if keys.len() < 2 {
            return Err("pairs at least two keys".into());
        }
        let mut group: Vec<usize> = Vec::new();
        for key in keys {
            if self.fixed.iter().any(|(fixed, _)| fixed == key) {
                continue;
            }
            let Some(axis) = self.axes.iter().position(|axis| axis.key == *key) else {
                return Err(format!("\"{key}\" is not swept here"));
            };
            if group.contains(&axis) || others.iter().any(|other| other.contains(&axis)) {
                return Err(format!("\"{key}\" appears twice"));
            }
            let first = &self.axes[*group.first().unwrap_or(&axis)];
            if !self.axes[axis].scope.is_empty()
                || matches!(self.axes[axis].values, Values::Drawn(_))
            {
                return Err(format!("\"{key}\" is no list of every combination"));
            }
            let [one, other] = [first, &self.axes[axis]].map(|axis| axis.values.listed().len());
            if one != other {
                return Err(format!(
                    "pairs lists of one length, and \"{}\" has {one} values, \"{key}\" {other}",
                    first.key
                ));
            }
            group.push(axis);
        }
        Ok(group)
    }

    fn read_exclude(&mut self, table: &Dict, locations: &Point, outcome: &mut Outcome) {
        let Some(value) = table.get("exclude") else {
            return;
        };
        let location = locations.locate("sweep.exclude", value.tag());
        let dicts = value
            .as_array()
            .map(|items| items.iter().map(Value::as_dict).collect::<Option<Vec<_>>>());
        let Some(Some(dicts)) = dicts else {
            let message =
                "expected a list of tables, such as exclude = [{ \"attack.k\" = 1 }], found";
            outcome.fault(
                &location,
                "sweep.exclude",
                &format!("{message} {}", found(value)),
            );
            return;
        };
        for dict in dicts {
            let mut entry = Vec::new();
            let mut applies = true;
            for (key, value) in flatten(dict, "") {
                if let Some((_, fixed)) = self.fixed.iter().find(|(fixed, _)| *fixed == key) {
                    applies &= fixed == value;
                    continue;
                }
                match self.never(&key, value) {
                    Some(message) => outcome.fault(&location, "sweep.exclude", &message),
                    None => entry.push((key, value.clone())),
                }
            }
            if dict.is_empty() {
                outcome.fault(
                    &location,
                    "sweep.exclude",
                    "an empty table would leave out every run",
                );
            }
            if applies {
                self.exclude.push(entry);
            }
        }
    }
}

/// The values of a swept key, as a list or a range says them.
pub(super) fn read_values(key: &str, value: &Value) -> Result<Values, String> {
    if ["name", "extends"].contains(&key) || key.starts_with("sweep") {
        return Err("cannot be swept".into());
    }
    let values = match (single(value).and_then(Value::as_dict), value.as_array()) {
        (Some(table), _) if is_range(table) => match Range::read(table)? {
            (range, None) => return Ok(Values::Drawn(range)),
            (range, Some(n)) => range.values(n)?,
        },
        (_, Some(values)) => values.to_vec(),
        _ => return Err(format!("expected a list of values, found {}", found(value))),
    };
    if values.is_empty() {
        return Err("an empty list makes no runs; write at least one value".into());
    }
    Ok(Values::Listed(values))
}

/// The value, or the only one of a list: the command line knows lists alone.
pub(super) fn single(value: &Value) -> Option<&Value> {
    match value.as_array() {
        Some([one]) => Some(one),
        Some(_) => None,
        None => Some(value),
    }
}

/// The value at a dotted key.
fn lookup<'a>(dict: &'a Dict, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => dict.get(key),
        Some((first, rest)) => lookup(dict.get(first)?.as_dict()?, rest),
    }
}

/// The values below a table by dotted key: `linbp.train` may be written with or without quotes.
pub(super) fn flatten<'a>(table: &'a Dict, prefix: &str) -> Vec<(String, &'a Value)> {
    let mut flat = Vec::new();
    for (key, value) in table {
        let path = join(prefix, key);
        match value {
            Value::Dict(_, inner) if !inner.is_empty() && !is_range(inner) && path != "sample" => {
                flat.extend(flatten(inner, &path))
            }
            value => flat.push((path, value)),
        }
    }
    flat
}
