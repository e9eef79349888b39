//! Reads the table `[sweep]`: its lists, `zip` and `exclude`.

use figment::value::{Dict, Value};

use super::fields::join;
use super::layers::{Layers, Point};
use super::location::Locate;
use super::outcome::Outcome;
use super::sweep::{Axis, MAX_POINTS, Sweep};
use super::words::found;

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
        sweep.read_zip(table, plain, outcome);
        sweep.read_exclude(table, plain, outcome);
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
        for (key, value) in lists {
            if key == "zip" || key == "exclude" {
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
            if key == "name" || key == "extends" || key.starts_with("sweep") {
                outcome.fault(&location, &name, "cannot be swept");
                continue;
            }
            let Some(values) = value.as_array() else {
                let message = format!("expected a list of values, found {}", found(value));
                outcome.fault(&location, &name, &message);
                continue;
            };
            if values.is_empty() {
                outcome.fault(
                    &location,
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
                    &location,
                    &name,
                    &format!("the value {} appears twice", found(value)),
                );
                continue;
            }
            self.axes.push(Axis {
                key,
                values: values.to_vec(),
                location,
            });
        }
    }

    fn read_zip(&mut self, table: &Dict, locations: &Point, outcome: &mut Outcome) {
        let expected = "expected lists of swept keys, such as zip = [[\"attack.epsilon\", \"attack.step_size\"]]";
        let mut zipped: Vec<Vec<usize>> = Vec::new();
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
                outcome.fault(&location, "sweep.exclude", &message);
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

/// The value at a dotted key.
fn lookup<'a>(dict: &'a Dict, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => dict.get(key),
        Some((first, rest)) => lookup(dict.get(first)?.as_dict()?, rest),
    }
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
