//! `[evaluate]`: what is measured, and how often.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::attack_kind::AttackKind;
use crate::spec::range::Count;
use crate::spec::section::section;
use crate::spec::task::Task;

/// What the images of an evaluation went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalAttack {
    /// Nothing: clean images.
    None,
    /// An attack of that kind with the settings of `[attack]`.
    Attack(AttackKind),
}

impl EvalAttack {
    /// "none", then the attacks.
    const NAMES: &'static [&'static str] = &{
        let mut names = ["none"; 1 + AttackKind::NAMES.len()];
        let mut place = 0;
        while place < AttackKind::NAMES.len() {
            names[place + 1] = AttackKind::NAMES[place];
            place += 1;
        }
        names
    };

    /// The name in the spec and in the column `attack` of the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Attack(kind) => kind.name(),
        }
    }
}

impl Serialize for EvalAttack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EvalAttack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl de::Visitor<'_> for Names {
            type Value = EvalAttack;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(&crate::spec::choice::one_of(EvalAttack::NAMES))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<EvalAttack, E> {
                match AttackKind::from_name(text) {
                    Some(kind) => Ok(EvalAttack::Attack(kind)),
                    None if text == "none" => Ok(EvalAttack::None),
                    None => Err(E::unknown_variant(text, EvalAttack::NAMES)),
                }
            }
        }
        deserializer.deserialize_any(Names)
    }
}

section! {
    /// What is measured, and how often.
    EvaluateSpec {
        /// Evaluations, each "none" (clean images) or an attack with the settings of [attack]; default ["none"].
        attacks: Vec<EvalAttack> [or vec![EvalAttack::None]],
        /// Epochs between evaluations during training, the last epoch always; default 1.
        every: usize [as Count, or 1],
        /// Write the logits of every test image; default false.
        save_logits: bool [or false],
    }
    check(fields) {
        if let Some(list) = &attacks {
            fields.each_once("attacks", list, EvalAttack::NAMES);
        }
        if fields.task_is(&[Task::Evaluate]) {
            fields.idle("every", &mut every, 1, "the task evaluate measures once");
        } else {
            fields.idle("save_logits", &mut save_logits, false, "only the task evaluate saves logits");
        }
    }
}

impl Default for EvaluateSpec {
    fn default() -> Self {
        Self {
            attacks: vec![EvalAttack::None],
            every: 1,
            save_logits: false,
        }
    }
}
