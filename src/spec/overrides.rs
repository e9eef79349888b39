//! Settings from outside the files: `KEY=VALUE` and `--sweep KEY=V1,V2` on the command line, `RUNNER_` variables.

use std::ffi::OsString;

use figment::value::{Dict, Value};

use super::document::convert_value;
use super::task::HEAD_NAMES;

/// What separates the parts of a key in a variable's name, where a dot cannot stand.
const VARIABLE_DOT: &str = "__";

/// Reads `KEY=VALUE`; the value is TOML, or else plain text.
pub(crate) fn assignment(text: &str) -> Result<(String, Value), String> {
    let (key, value) = split(text, "KEY=VALUE, such as attack.k=10")?;
    Ok((key, parse_value(value)))
}

/// Reads `KEY=V1,V2`; the list's elements are TOML, or else plain text.
pub(crate) fn sweep(text: &str) -> Result<(String, Value), String> {
    let (key, list) = split(text, "KEY=V1,V2, such as attack.k=1,5,10")?;
    let parsed = format!("[{list}]").parse::<toml_edit::Value>();
    let values: Vec<Value> = match parsed.as_ref().map(toml_edit::Value::as_array) {
        Ok(Some(array)) => array.iter().map(convert_value).collect(),
        _ => list
            .split(',')
            .map(|value| parse_value(value.trim()))
            .collect(),
    };
    Ok((key, values.into()))
}

fn split<'a>(text: &'a str, shape: &str) -> Result<(String, &'a str), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("expected {shape}, found \"{text}\""))?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || key.split('.').any(str::is_empty) || value.is_empty() {
        return Err(format!("expected {shape}, found \"{text}\""));
    }
    Ok((key.to_owned(), value))
}

/// A value as TOML, or else plain text.
pub(super) fn parse_value(text: &str) -> Value {
    match text.parse::<toml_edit::Value>() {
        Ok(toml_edit::Value::Datetime(_)) | Err(_) => text.into(),
        Ok(value) => convert_value(&value),
    }
}

/// The settings among environment variables: those whose name is `RUNNER_`, a section, `__`, a key (and more parts for
/// a stage: `RUNNER_STAGE__CRAFT__ATTACK__K`), and `RUNNER_SEED`, `RUNNER_TASK`, `RUNNER_PRECISION`. Others, such as the
/// `RUNNER_NAME` and `RUNNER_OS` that build services set, are not ours.
pub(crate) fn variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    stages: &[String],
) -> Variables {
    let mut found = Variables::default();
    for (name, value) in environment {
        let shown = name.to_string_lossy().into_owned();
        let Some(rest) = shown.strip_prefix("RUNNER_") else {
            continue;
        };
        if !rest.contains(VARIABLE_DOT) && !HEAD_NAMES.contains(&rest.to_lowercase().as_str()) {
            continue;
        }
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else {
            found.refused.push((shown, "not UTF-8 text".into()));
            continue;
        };
        let mut parts: Vec<String> = rest
            .to_lowercase()
            .split(VARIABLE_DOT)
            .map(str::to_owned)
            .collect();
        if parts[0] == "stage" && parts.len() > 1 {
            // A variable's name cannot hold the dash of a stage's id.
            if let Some(id) = stages.iter().find(|id| id.replace('-', "_") == parts[1]) {
                parts[1] = id.clone();
            }
        }
        let key = parts.join(".");
        found.settings.push((key, name, parse_value(&value)));
    }
    found.settings.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

/// What the environment sets.
#[derive(Default)]
pub(crate) struct Variables {
    /// The dotted key, the variable's name and the value of each.
    pub settings: Vec<(String, String, Value)>,
    /// The names of those that cannot be read, and why.
    pub refused: Vec<(String, String)>,
}

/// Puts a value at a dotted key, making the tables on the way.
pub(crate) fn insert(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let slot = dict
                .entry(first.to_owned())
                .or_insert_with(|| Dict::new().into());
            if !matches!(slot, Value::Dict(..)) {
                *slot = Dict::new().into();
            }
            if let Value::Dict(_, inner) = slot {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_or_text() {
        let read = |text: &str| assignment(text).map(|(_, value)| value);
        assert_eq!(read("a=5"), Ok(5i64.into()));
        assert_eq!(read("a = 0.5"), Ok(0.5.into()));
        assert_eq!(read("a=true"), Ok(true.into()));
        assert_eq!(read("a=\"5\""), Ok("5".into()));
        assert_eq!(read("a=8/255"), Ok("8/255".into()));
        assert_eq!(read("a=data/cifar10"), Ok("data/cifar10".into()));
        assert_eq!(read("a=[1, 2]"), Ok(vec![1i64, 2].into()));
        assert_eq!(read("a=x=y"), Ok("x=y".into()));
        for text in ["a", "=5", "a=", "a..b=1", ".a=1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_outside_of_values() {
        let read = |text: &str| sweep(text).map(|(_, value)| value);
        assert_eq!(read("a=1,5"), Ok(vec![1i64, 5].into()));
        assert_eq!(read("a=sgd,adam"), Ok(vec!["sgd", "adam"].into()));
        assert_eq!(read("a=8/255,4/255"), Ok(vec!["8/255", "4/255"].into()));
        assert_eq!(
            read("a=[\"x\"],[\"y\"]"),
            Ok(vec![vec!["x"], vec!["y"]].into())
        );
        assert_eq!(read("a=true"), Ok(vec![true].into()));
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let pairs = [
            ("RUNNER_NAME", "build 7"),
            ("RUNNER_OS", "Linux"),
            ("RUNNER_ATTACK__STEP_SIZE", "2/255"),
            ("RUNNER_STAGE__ATTACK_BP__ATTACK__K", "3"),
            ("RUNNER_SEED", "4"),
            ("RUNNER_PRECISION", "bf16"),
            ("HOME", "/"),
        ];
        let found = variables(
            pairs.map(|(name, value)| (name.into(), value.into())),
            &["attack-bp".into()],
        );
        let keys: Vec<&str> = found
            .settings
            .iter()
            .map(|(key, ..)| key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "attack.step_size",
                "precision",
                "seed",
                "stage.attack-bp.attack.k"
            ]
        );
    }
}
