//! The words of a sweep beside its lists: `only`, `sample` and `seeds`.

use figment::value::{Dict, Value};

use super::layers::Point;
use super::location::Locate;
use super::outcome::Outcome;
use super::sweep::{Axis, MAX_POINTS, Sample, Sweep, Values};
use super::sweep_table::{flatten, read_values, single};
use super::words::found;

/// The key that `seeds` sweeps.
const SEED: &str = "seed";

impl Sweep {
    /// `only = [{ where = { "attack.kind" = "pgd" }, "attack.k" = [5, 20] }]`: lists of some combinations.
    pub(super) fn read_only(&mut self, table: &Dict, locations: &Point, outcome: &mut Outcome) {
        let Some(value) = table.get("only") else {
            return;
        };
        let location = locations.locate("sweep.only", value.tag());
        let mut refuse = |message: &str| outcome.fault(&location, "sweep.only", message);
        let expected = "expected a list of tables, such as only = [{ where = { \"attack.kind\" = \"pgd\" }, \
                        \"attack.k\" = [5, 20] }]";
        let Some(entries) = value.as_array() else {
            return refuse(&format!("{expected}, found {}", found(value)));
        };
        for entry in entries {
            let scope = entry
                .as_dict()
                .and_then(|dict| dict.get("where")?.as_dict());
            let (Some(dict), Some(scope)) =
                (entry.as_dict(), scope.filter(|scope| !scope.is_empty()))
            else {
                refuse(&format!("{expected}, found no \"where\""));
                continue;
            };
            let scope: Vec<(String, Value)> = flatten(scope, "")
                .into_iter()
                .map(|(key, value)| (key, value.clone()))
                .collect();
            let mut applies = true;
            let mut left = Vec::new();
            for (key, value) in scope {
                match self.fixed.iter().find(|(fixed, _)| *fixed == key) {
                    Some((_, fixed)) => applies &= *fixed == value,
                    None => match self.never(&key, &value) {
                        Some(message) => refuse(&message),
                        None => left.push((key, value)),
                    },
                }
            }
            for (key, value) in flatten(dict, "") {
                if key == "where" || key.starts_with("where.") {
                    continue;
                }
                if self
                    .axes
                    .iter()
                    .any(|axis| axis.key == key && axis.scope.is_empty())
                {
                    refuse(&format!("\"{key}\" is swept everywhere already"));
                    continue;
                }
                match read_values(&key, value) {
                    Err(message) => refuse(&format!("{key}: {message}")),
                    Ok(values) if applies => self.axes.push(Axis {
                        key,
                        values,
                        scope: left.clone(),
                        location: location.clone(),
                    }),
                    Ok(_) => {}
                }
            }
        }
    }

    /// `sample = { n = 20, seed = 0 }`, or the number alone.
    pub(super) fn read_sample(&mut self, table: &Dict, locations: &Point, outcome: &mut Outcome) {
        let drawn = self
            .axes
            .iter()
            .find(|axis| matches!(axis.values, Values::Drawn(_)));
        let Some(value) = table.get("sample") else {
            if let Some(axis) = drawn {
                let message = "a range without n is drawn from: sweep.sample says how often";
                outcome.fault(&axis.location, &format!("sweep.{}", axis.key), message);
            }
            return;
        };
        let location = locations.locate("sweep.sample", value.tag());
        let known = |dict: &Dict| dict.keys().all(|key| ["n", "seed"].contains(&key.as_str()));
        let (n, seed) = match value.as_dict() {
            Some(dict) if known(dict) => (dict.get("n"), dict.get("seed")),
            Some(_) => (None, None),
            None => (single(value), None),
        };
        let whole = |value: &Value| value.deserialize::<u64>().ok();
        let n = n
            .and_then(whole)
            .filter(|n| (1..=MAX_POINTS as u64).contains(n));
        let seed = seed.map_or(Some(0), whole);
        let (Some(n), Some(seed)) = (n, seed) else {
            let message = format!(
                "expected how many points are drawn, up to {MAX_POINTS}, such as sample = {{ n = 20, seed = 0 }}, found {}",
                found(value)
            );
            return outcome.fault(&location, "sweep.sample", &message);
        };
        self.sample = Some(Sample {
            n: n as usize,
            seed,
        });
    }

    /// `seeds = 5`: every point with the seed of the spec and the next ones.
    pub(super) fn read_seeds(
        &mut self,
        table: &Dict,
        merged: &Dict,
        locations: &Point,
        outcome: &mut Outcome,
    ) {
        let Some(value) = table.get("seeds") else {
            return;
        };
        let location = locations.locate("sweep.seeds", value.tag());
        let mut refuse = |message: &str| outcome.fault(&location, "sweep.seeds", message);
        let whole = |value: &Value| value.deserialize::<u64>().ok();
        let count = single(value).and_then(whole);
        let Some(count) = count.filter(|count| (1..=MAX_POINTS as u64).contains(count)) else {
            return refuse(&format!(
                "expected how many seeds every point runs with, 1 to {MAX_POINTS}, found {}",
                found(value)
            ));
        };
        if self.axes.iter().any(|axis| axis.key == SEED) {
            return refuse("the seed is swept by a list already");
        }
        // What the spec's own seed is worth is its section's to say.
        let first = merged.get(SEED).map_or(Some(0), whole).unwrap_or(0);
        let seeds = (0..count).map(|number| Value::from(first.saturating_add(number)));
        self.seeds = Some(self.axes.len());
        self.axes.push(Axis {
            key: SEED.into(),
            values: Values::Listed(seeds.collect()),
            scope: Vec::new(),
            location,
        });
    }
}
