//! `[evaluate]`: what is measured, and how often.

use figment::value::Value;
use serde::{Serialize, Serializer};

use crate::attacks::{Entry, Shared, read_item};
use crate::spec::fields::{Fields, repeats};
use crate::spec::range::Count;
use crate::spec::section::section;
use crate::spec::task::TaskKind;

/// What the images of an evaluation go through.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalAttack {
    /// Nothing: clean images.
    None,
    /// An attack.
    Attack(Entry),
}

impl EvalAttack {
    const NONE: &'static str = "none";

    /// The name in the column `attack` of the metrics.
    pub fn name(&self) -> &str {
        match self {
            Self::None => Self::NONE,
            Self::Attack(entry) => &entry.name,
        }
    }

    /// The attack, where there is one.
    pub fn attack(&self) -> Option<&Entry> {
        match self {
            Self::None => None,
            Self::Attack(entry) => Some(entry),
        }
    }
}

impl Serialize for EvalAttack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str(Self::NONE),
            Self::Attack(entry) => entry.serialize(serializer),
        }
    }
}

/// Reads the list of evaluations.
fn read_attacks(fields: &mut Fields, key: &'static str) -> Option<Vec<EvalAttack>> {
    let expected = "a list of \"none\" and attacks";
    let list = fields.optional_list(key, expected, |fields, path, item: &Value| {
        if item.as_str() == Some(EvalAttack::NONE) {
            return Some(EvalAttack::None);
        }
        let entry = read_item(fields, path, item, Shared::Section, Some(EvalAttack::NONE))?;
        Some(EvalAttack::Attack(entry))
    })?;
    let list = list.unwrap_or_else(|| vec![EvalAttack::None]);
    let names: Vec<&str> = list.iter().map(EvalAttack::name).collect();
    if list.is_empty() {
        fields.fault(key, "expected at least \"none\" or an attack");
    } else if repeats(&names) {
        fields.fault(key, TWICE);
    }
    Some(list)
}

fn shrink(list: &mut [EvalAttack]) -> bool {
    let changes = list.iter_mut().map(|item| match item {
        EvalAttack::None => false,
        EvalAttack::Attack(entry) => entry.shrink(),
    });
    changes.fold(false, |any, changed| any | changed)
}

/// What is wrong with a list that holds a name twice.
pub(super) const TWICE: &str = "expected each attack at most once; a table { name = ..., kind = ... } can give it another name";

fn identity(list: &[EvalAttack]) -> Result<toml::Value, toml::ser::Error> {
    let list = list.iter().map(|item| match item {
        EvalAttack::None => Ok(EvalAttack::NONE.into()),
        EvalAttack::Attack(entry) => entry.identity(),
    });
    Ok(list.collect::<Result<Vec<toml::Value>, _>>()?.into())
}

section! {
    /// What is measured, and how often.
    EvaluateSpec {
        /// Evaluations, each "none" (clean images), an attack, which takes what fits from `[attack]`, or a table with settings
        /// of its own, such as { kind = "apgd", k = 20 }; default ["none"].
        attacks: Vec<EvalAttack> [by read_attacks, identity identity] smoke shrink,
        /// Epochs between evaluations during training, the last epoch always; default 1.
        every: usize [as Count, or 1] smoke 1,
        /// Write the logits of every test image; default false.
        save_logits: bool [or false],
    }
    check(fields) {
        if fields.task_is(&[TaskKind::Evaluate]) {
            fields.idle("every", &mut every, 1, "the task evaluate measures once");
        } else {
            fields.idle("save_logits", &mut save_logits, false, "only the task evaluate saves logits");
        }
    }
}
