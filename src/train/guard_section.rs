//! `[train] guard`: what watches an adversarial training for catastrophic overfitting.

use figment::value::Value;

use crate::choice::choices;
use crate::spec::fields::{Fields, join};
use crate::spec::range::{Count, InnerShare, Iterations};
use crate::spec::section::{Key, Section, section};
use crate::spec::surroundings::Table;

choices! {
    /// What follows a collapse.
    OnCollapse {
        /// The run fails.
        Stop = "stop",
        /// A warning, and the training goes on.
        Warn = "warn",
        /// The weights of the epoch before become the final ones.
        Restore = "restore",
    }
}

section! {
    /// What watches an adversarial training for catastrophic overfitting (arXiv 2001.03994).
    GuardSpec {
        /// What follows a collapse: "stop" (the run fails), "warn", or "restore" (the weights of the epoch before become the
        /// final ones); required.
        on_collapse: OnCollapse [required],
        /// By how much accuracy under PGD has to fall from one epoch to the next to be called a collapse, in (0, 1); default 0.2.
        drop: f64 [as InnerShare, or 0.2],
        /// Images that it is measured on, or all where there are fewer; default 256.
        images: usize [as Count, or 256],
        /// Steps of that PGD, each a quarter of epsilon; default 10.
        k: usize [as Iterations, or 10],
    }
}

/// The keys of the table.
pub const GUARD_KEYS: &[Key] = GuardSpec::KEYS;

/// Reads the table, which may be missing.
pub(super) fn read(fields: &mut Fields, key: &'static str) -> Option<Option<GuardSpec>> {
    let written: Option<Value> = fields.optional(key)?;
    match written {
        None => return Some(None),
        Some(Value::Dict(..)) => {}
        Some(_) => {
            fields.fault(
                key,
                "expected a table such as { on_collapse = \"restore\" }",
            );
            return None;
        }
    }
    let tables = fields.tables.iter().filter_map(|table| {
        let dict = table.dict.get(key)?.as_dict()?;
        Some(Table::all_of(join(&table.path, key), dict))
    });
    let tables = tables.collect();
    let path = join(&fields.path, key);
    GuardSpec::read(fields.part(path, GuardSpec::KEYS, tables)).map(Some)
}

/// Empty where there is no guard.
pub(super) fn identity(guard: &Option<GuardSpec>) -> Result<toml::Value, toml::ser::Error> {
    let table = guard.as_ref().map(Section::identity).transpose()?;
    Ok(table.unwrap_or_default().into())
}
