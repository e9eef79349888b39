//! The ranges of a sweep: `{ from = 1e-4, to = 1e-1, n = 7, scale = "log" }`.

use figment::value::{Dict, Value};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::sweep::MAX_POINTS;
use super::words::found;

const EXPECTED: &str =
    "expected a range, such as { from = 1e-4, to = 1e-1, n = 7, scale = \"log\" }";

/// What is written as a range and not as a list: no setting of an experiment is called so.
const MARK: &str = "from";

/// Values between two ends, both of which belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    from: f64,
    to: f64,
    /// Both ends are written as whole numbers: so are all values.
    whole: bool,
    /// Evenly spaced by their logarithms.
    log: bool,
}

/// Whether a table in a sweep is a range, and not keys of a section.
pub(super) fn is_range(table: &Dict) -> bool {
    table.contains_key(MARK)
}

impl Range {
    /// A range and its number of values; none where values are drawn from it.
    pub fn read(table: &Dict) -> Result<(Self, Option<usize>), String> {
        if let Some(key) = table
            .keys()
            .find(|key| !["from", "to", "n", "scale"].contains(&key.as_str()))
        {
            return Err(format!("{EXPECTED}, found a key \"{key}\""));
        }
        let end = |key: &str| {
            let value = table
                .get(key)
                .ok_or_else(|| format!("{EXPECTED}, found no \"{key}\""))?;
            match value.deserialize::<f64>() {
                Ok(number) if number.is_finite() => Ok((number, is_whole(value))),
                _ => Err(format!("{EXPECTED}, found {key} = {}", found(value))),
            }
        };
        let ((from, first), (to, last)) = (end("from")?, end("to")?);
        let log = match table.get("scale").map(|value| (value, value.as_str())) {
            None | Some((_, Some("linear"))) => false,
            Some((_, Some("log"))) => true,
            Some((value, _)) => {
                return Err(format!(
                    "scale: expected \"linear\" or \"log\", found {}",
                    found(value)
                ));
            }
        };
        if log && (from <= 0.0 || to <= 0.0) {
            return Err("a range of scale \"log\" has ends above 0".into());
        }
        if from == to {
            return Err(format!(
                "a range from {from} to {to} has one value; write a list"
            ));
        }
        let n = match table.get("n") {
            None => None,
            Some(value) => match value.deserialize::<u64>().ok() {
                Some(n @ 2..) if n <= MAX_POINTS as u64 => Some(n as usize),
                _ => {
                    return Err(format!(
                        "n: expected 2 to {MAX_POINTS} values, found {}",
                        found(value)
                    ));
                }
            },
        };
        let range = Self {
            from,
            to,
            whole: first && last,
            log,
        };
        Ok((range, n))
    }

    /// `n` values, evenly spaced.
    ///
    /// # Errors
    /// Whole numbers that are not evenly spaced, or come twice.
    pub fn values(&self, n: usize) -> Result<Vec<Value>, String> {
        let shares = (0..n).map(|i| i as f64 / (n - 1) as f64);
        let points: Vec<f64> = shares.map(|share| self.at(share)).collect();
        if self.whole && !self.log && points.iter().any(|point| point.fract() != 0.0) {
            return Err(format!(
                "{n} whole numbers from {} to {} are not evenly spaced; write {:?} for fractions",
                self.from, self.to, self.from
            ));
        }
        Ok(points.into_iter().map(|point| self.value(point)).collect())
    }

    /// A value at random: all equally likely, or their logarithms.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Value {
        if self.whole && !self.log {
            let (low, high) = (self.from.min(self.to), self.from.max(self.to));
            return Value::from(rng.random_range(low as i64..=high as i64));
        }
        self.value(self.at(rng.random()))
    }

    /// The point at a share of the way. It is rounded, so that names of folders are short: to 4 digits where the scale is
    /// logarithmic, else to 12.
    fn at(&self, share: f64) -> f64 {
        let (from, to) = (self.from, self.to);
        match share {
            0.0 => from,
            1.0 => to,
            _ if self.log => rounded(from * (to / from).powf(share), 4),
            _ => rounded(from + (to - from) * share, 12),
        }
    }

    fn value(&self, point: f64) -> Value {
        match self.whole {
            true => Value::from(point.round() as i64),
            false => Value::from(point),
        }
    }
}

fn is_whole(value: &Value) -> bool {
    value.to_i128().is_some() && !matches!(value, Value::Num(_, figment::value::Num::F64(_)))
}

/// The number of so many significant digits that is nearest.
fn rounded(number: f64, digits: usize) -> f64 {
    let text = format!("{number:.*e}", digits - 1);
    text.parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Range, Option<usize>), String> {
        let table: toml::Table = format!("a = {text}").parse().unwrap();
        let value = Value::serialize(&table["a"]).unwrap();
        Range::read(value.as_dict().unwrap())
    }

    fn values(text: &str) -> Vec<Value> {
        let (range, n) = read(text).unwrap();
        range.values(n.unwrap()).unwrap()
    }

    #[test]
    fn both_ends_belong_to_a_range() {
        let found = values("{ from = 1e-4, to = 1e-1, n = 7, scale = \"log\" }");
        let expected = [1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2, 3.162e-2, 1e-1];
        assert_eq!(found, expected.map(Value::from));
        assert_eq!(
            values("{ from = 0.1, to = 0.4, n = 4 }"),
            [0.1, 0.2, 0.3, 0.4].map(Value::from)
        );
        assert_eq!(
            values("{ from = 9, to = 1, n = 3 }"),
            [9i64, 5, 1].map(Value::from)
        );
        assert_eq!(
            values("{ from = 1, to = 100, n = 3, scale = \"log\" }"),
            [1i64, 10, 100].map(Value::from)
        );
    }

    #[test]
    fn faults_are_told_in_words() {
        for (text, expected) in [
            ("{ from = 1 }", "found no \"to\""),
            ("{ from = 1, to = 5, step = 2 }", "found a key \"step\""),
            ("{ from = 1, to = \"x\" }", "found to = \"x\""),
            ("{ from = 0, to = 1, scale = \"log\" }", "has ends above 0"),
            (
                "{ from = 1, to = 2, scale = \"ln\" }",
                "expected \"linear\" or \"log\"",
            ),
            (
                "{ from = 1, to = 2, n = 1 }",
                "expected 2 to 10000 values, found 1",
            ),
            ("{ from = 1, to = 1, n = 2 }", "has one value"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let (range, n) = read("{ from = 1, to = 4, n = 3 }").unwrap();
        let error = range.values(n.unwrap()).unwrap_err();
        assert!(error.contains("not evenly spaced; write 1.0"), "{error}");
    }

    #[test]
    fn draws_stay_between_the_ends() {
        use crate::rng::{Purpose, stream};
        let (log, _) = read("{ from = 1e-4, to = 1e-1, scale = \"log\" }").unwrap();
        let (whole, _) = read("{ from = 3, to = 1 }").unwrap();
        let mut rng = stream(0, Purpose::Sweep, 0, 0, 0);
        let drawn: Vec<f64> = (0..2000)
            .map(|_| log.draw(&mut rng).deserialize().unwrap())
            .collect();
        assert!(drawn.iter().all(|value| (1e-4..=1e-1).contains(value)));
        // Half of the logarithms lie below the middle.
        let below = drawn
            .iter()
            .filter(|&&value| value < 10f64.powf(-2.5))
            .count();
        assert!((900..1100).contains(&below), "{below}");
        let mut seen: Vec<i128> = (0..200)
            .filter_map(|_| whole.draw(&mut rng).to_i128())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3]);
    }
}
