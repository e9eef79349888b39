//! `[transfer]`: models that adversarial images are made on and judged by.

use std::collections::BTreeMap;

use super::attack_kind::AttackKind;
use super::linbp::NO_GRADIENTS;
use super::model::ModelSpec;
use crate::spec::fields::{Fields, Table, join, repeats};
use crate::spec::section::{Section, section};

section! {
    /// Models that adversarial images are made on and judged by, each by each.
    TransferSpec {
        /// The attacks, with the settings of [attack]; default its kind alone.
        attacks: Option<Vec<AttackKind>> [optional],
        /// LinBP in the attacks: [false] without, [true] with, or both; default [false, true].
        linbp: Vec<bool> [or vec![false, true]],
        /// The models, each a table with the keys of [model] under its name: transfer.models.NAME.arch and so on; required.
        models: BTreeMap<String, ModelSpec> [by read_models],
    }
    check(fields) {
        if attacks == Some(None) && !fields.uses.attacks.is_empty() {
            attacks = Some(Some(fields.uses.attacks.clone()));
        }
        if let Some(Some(list)) = &attacks {
            fields.each_once("attacks", list, AttackKind::NAMES);
        }
        if let Some(list) = &linbp
            && (list.is_empty() || repeats(list))
        {
            fields.fault("linbp", "expected [false], [true] or [false, true]");
        } else if !fields.uses.any(AttackKind::has_gradients) {
            fields.idle("linbp", &mut linbp, vec![false], NO_GRADIENTS);
        }
    }
}

/// Reads every table under `models` as a section of its own.
fn read_models(fields: &mut Fields, key: &'static str) -> Option<BTreeMap<String, ModelSpec>> {
    let mut names: Vec<String> = fields.required_by(key, |value| {
        let tables = value.as_dict().filter(|dict| !dict.is_empty());
        let sound = tables.filter(|dict| dict.values().all(|model| model.as_dict().is_some()));
        let sound = sound.map(|dict| dict.keys().cloned().collect());
        sound.ok_or_else(|| "at least one table NAME = { arch = ..., weights = ... }".to_owned())
    })?;
    // A weaker layer may add models of its own.
    for table in &fields.tables {
        let models = table.dict.get(key).and_then(|models| models.as_dict());
        names.extend(models.into_iter().flatten().map(|(name, _)| name.clone()));
    }
    names.sort();
    names.dedup();
    let mut models = BTreeMap::new();
    let mut sound = true;
    for name in names {
        let place = format!("{key}.{name}");
        let tables = fields.tables.iter().filter_map(|table| {
            let model = table.dict.get(key)?.as_dict()?.get(&name)?.as_dict()?;
            Some(Table {
                path: join(&table.path, &place),
                dict: model,
                only: &[],
            })
        });
        let model = ModelSpec::read(Fields {
            path: join(&fields.path, &place),
            keys: ModelSpec::KEYS,
            tables: tables.collect(),
            used: fields.used,
            uses: fields.uses,
            places: fields.places,
            outcome: &mut *fields.outcome,
        });
        match model {
            Some(model) => {
                models.insert(name, model);
            }
            None => sound = false,
        }
    }
    sound.then_some(models)
}
