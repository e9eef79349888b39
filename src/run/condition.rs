//! Conditions on runs: `linbp.attack=true and test_pgd_accuracy>0.4`.

use std::cmp::Ordering;

use toml::Value;

use super::list::ListedRun;
use crate::{Error, Result};

/// Whether an order of two values is the one that is asked for.
type Holds = fn(Ordering) -> bool;

/// What comes between a key and a value; the longer ones first, which begin with the others.
const OPERATORS: [(&str, Holds); 7] = [
    (">=", Ordering::is_ge),
    ("<=", Ordering::is_le),
    ("!=", Ordering::is_ne),
    ("==", Ordering::is_eq),
    ("=", Ordering::is_eq),
    (">", Ordering::is_gt),
    ("<", Ordering::is_lt),
];

/// One comparison of a run's setting or metric with a value.
#[derive(Clone, Debug)]
pub struct Condition {
    pub key: String,
    holds: Holds,
    value: Value,
}

impl Condition {
    /// The conditions of a text, all of which must hold.
    ///
    /// # Errors
    /// A part that is no comparison.
    pub fn read(text: &str) -> Result<Vec<Self>> {
        text.split(" and ").map(Self::read_one).collect()
    }

    /// The conditions of several texts, all of which must hold.
    ///
    /// # Errors
    /// As [`Condition::read`].
    pub fn read_all(texts: &[String]) -> Result<Vec<Self>> {
        let read: Vec<Vec<Self>> = texts
            .iter()
            .map(|text| Self::read(text))
            .collect::<Result<_>>()?;
        Ok(read.concat())
    }

    fn read_one(text: &str) -> Result<Self> {
        let begin = text.find(['>', '<', '!', '=']);
        let found = begin.and_then(|begin| {
            let mut operators = OPERATORS.iter();
            let (word, holds) = operators.find(|(word, _)| text[begin..].starts_with(word))?;
            Some((
                text[..begin].trim(),
                *holds,
                text[begin + word.len()..].trim(),
            ))
        });
        match found {
            Some((key, holds, value)) if !key.is_empty() && !value.is_empty() => Ok(Self {
                key: key.to_owned(),
                holds,
                value: read_value(value),
            }),
            _ => Err(Error::spec(format!(
                "--where: expected KEY=VALUE, KEY!=VALUE, KEY>VALUE and the like, joined by \"and\", found \"{text}\""
            ))),
        }
    }

    /// Whether it holds for a run. A run without the key fulfils no condition.
    pub fn holds(&self, run: &ListedRun) -> bool {
        let value = run.value(&self.key);
        value.is_some_and(|value| (self.holds)(compare(&value, &self.value)))
    }
}

/// A value as TOML, or plain text.
fn read_value(text: &str) -> Value {
    let table = format!("value = {text}").parse::<toml::Table>();
    let value = table.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Numbers by size, anything else by its text.
pub(super) fn compare(one: &Value, other: &Value) -> Ordering {
    let number = |value: &Value| {
        value
            .as_float()
            .or(value.as_integer().map(|value| value as f64))
    };
    if let (Some(one), Some(other)) = (number(one), number(other)) {
        return one.total_cmp(&other);
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text(one).cmp(&text(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read() {
        let read = |text: &str| {
            let conditions = Condition::read(text).unwrap();
            conditions
                .into_iter()
                .map(|c| (c.key, c.value))
                .collect::<Vec<_>>()
        };
        let expected = [
            ("linbp.attack".to_owned(), Value::Boolean(true)),
            ("x".to_owned(), Value::Float(0.4)),
        ];
        assert_eq!(read("linbp.attack=true and x >= 0.4"), expected);
        assert_eq!(
            read("kind!=pgd"),
            [("kind".to_owned(), Value::String("pgd".to_owned()))]
        );
        for text in ["x", "=1", "x>", "x=1 and "] {
            let error = Condition::read(text).unwrap_err().to_string();
            assert!(error.starts_with("--where: expected"), "{error}");
        }
    }

    #[test]
    fn values_compare_by_size() {
        assert_eq!(
            compare(&Value::Integer(10), &Value::Float(9.5)),
            Ordering::Greater
        );
        assert_eq!(
            compare(&Value::Integer(1), &Value::Float(1.0)),
            Ordering::Equal
        );
        assert_eq!(
            compare(&Value::Boolean(true), &Value::Boolean(true)),
            Ordering::Equal
        );
        assert_ne!(
            compare(&Value::String("a".into()), &Value::String("b".into())),
            Ordering::Equal
        );
    }
}
