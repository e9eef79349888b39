//! What tells the runs of a name apart: the settings that were swept or differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Value;

use crate::error::{Error, Result};
use crate::run::{RunRecord, files};

/// Every setting of a resolved spec by its dotted key, stages as `stage.<id>.<key>`.
pub type Settings = BTreeMap<String, Value>;

/// The settings of the run in `folder`.
pub fn read(folder: &Path) -> Result<Settings> {
    let path = folder.join(files::SPEC);
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let spec: toml::Table = text.parse().map_err(|error| {
        Error::failed(format!("{}: not a resolved spec: {error}", path.display()))
    })?;
    let mut settings = Settings::new();
    for (key, value) in spec {
        match (key.as_str(), value) {
            ("name", _) => {}
            ("stage", Value::Array(stages)) => {
                for mut stage in stages {
                    let id = stage
                        .as_table_mut()
                        .and_then(|stage| stage.remove("id"))
                        .and_then(|id| id.as_str().map(str::to_owned))
                        .unwrap_or_default();
                    flatten(&format!("stage.{id}"), stage, &mut settings);
                }
            }
            (_, value) => flatten(&key, value, &mut settings),
        }
    }
    Ok(settings)
}

fn flatten(key: &str, value: Value, settings: &mut Settings) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                flatten(&format!("{key}.{name}"), value, settings);
            }
        }
        value => {
            settings.insert(key.to_owned(), value);
        }
    }
}

/// The value of a swept key. A key of a spec with stages may be set for all of them: the first one's value is given.
pub fn lookup<'a>(settings: &'a Settings, key: &str) -> Option<&'a Value> {
    settings.get(key).or_else(|| {
        let in_stage = |(found, value): (&String, &'a Value)| {
            let rest = found.strip_prefix("stage.")?;
            (rest.split_once('.')?.1 == key).then_some(value)
        };
        settings.iter().find_map(in_stage)
    })
}

/// The keys that tell runs apart: first those that a sweep set, then others in which the runs differ.
pub fn distinguishing(runs: &[(&RunRecord, &Settings)]) -> Vec<String> {
    let swept: BTreeSet<&str> = runs
        .iter()
        .flat_map(|(record, _)| &record.settings)
        .filter(|(_, layer)| layer.starts_with("sweep"))
        .map(|(key, _)| key.as_str())
        .collect();
    let all: BTreeSet<&str> = runs
        .iter()
        .flat_map(|(_, settings)| settings.keys().map(String::as_str))
        .collect();
    let differs = |key: &str| {
        let mut values = runs.iter().map(|(_, settings)| settings.get(key));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let covered = |key: &str| {
        swept
            .iter()
            .any(|swept| key == *swept || key.ends_with(&format!(".{swept}")))
    };
    let others = all.into_iter().filter(|key| !covered(key) && differs(key));
    swept
        .iter()
        .copied()
        .chain(others)
        .map(str::to_owned)
        .collect()
}

/// The value of a key in one stage.
pub fn of_stage<'a>(settings: &'a Settings, id: &str, key: &str) -> Option<&'a Value> {
    let staged = settings.get(&format!("stage.{id}.{key}"));
    staged.or_else(|| settings.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cells::setting;

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(files::SPEC), text).unwrap();
        read(folder.path()).unwrap()
    }

    #[test]
    fn keys_are_dotted_and_stages_named() {
        let spec = settings(
            "name = 'x'\nseed = 1\n[attack]\nk = 5\n[[stage]]\nid = 'craft'\nattack = { epsilon = 0.5, k = 7 }\n",
        );
        let keys: Vec<&str> = spec.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "attack.k",
                "seed",
                "stage.craft.attack.epsilon",
                "stage.craft.attack.k"
            ]
        );
        assert_eq!(setting(lookup(&spec, "attack.k")), "5");
        assert_eq!(setting(lookup(&spec, "attack.epsilon")), "0.5");
        assert_eq!(setting(lookup(&spec, "epsilon")), "");
        assert_eq!(setting(of_stage(&spec, "craft", "attack.k")), "7");
    }

    #[test]
    fn an_unreadable_spec_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(files::SPEC), "seed = ").unwrap();
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("spec.toml: not a resolved spec"),
            "{message}"
        );
    }
}
