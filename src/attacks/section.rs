//! `[attack]`: the threat model, and the settings of the attacks that are named without settings of their own.

use figment::value::Value;
use serde::{Serialize, Serializer};

use super::entry::{Entry, INSIDE, keys_of_name, kinds_of_item, misfit, read_named};
use super::settings::{Compat, Making};
use super::threat::{self, Threat};
use super::{AttackKind, AttackName, AttackSettings};
use crate::choice::choices;
use crate::spec::{
    Epsilon, Fields, Key, Norm, Section, Surroundings, TaskKind, fraction, peek, section,
};
use crate::{Error, Result};

choices! {
    /// The mode in which a model answers while adversarial examples are made during training.
    ModelMode {
        /// Running statistics in batch norm, no dropout.
        Eval = "eval",
        /// Batch statistics (which move the running ones) and dropout.
        Train = "train",
    }
}

const COMPAT_NORM: &str = "expected \"linf\" with attack.compat = \"original\", found \"l2\"";

section! {
    /// What all attacks of a stage share.
    AttackHead {
        /// The attack, a name that `runner attacks` lists; required, but where evaluate.attacks or transfer.attacks says which.
        kind: Option<AttackName> [by read_kind, optional],
        /// Radius of the ball around the original, pixels in [0, 1]: a number or a fraction such as "8/255"; required.
        epsilon: Epsilon [by read_epsilon],
        /// The norm of the ball: "linf" or "l2"; default "linf".
        norm: Norm [or Norm::Linf],
        /// Mode of the model while it crafts in adversarial training: "eval" or "train"; default "eval".
        model_mode: ModelMode [or ModelMode::Eval],
        /// Write the adversarial images of an attack task as PNG files as well; default true.
        save_images: bool [or true],
    }
    check(fields) {
        let training = &[TaskKind::AdversarialTrain];
        if fields.task_is(training)
            && let Some(Some(kind)) = kind.filter(|_| fields.around.task().is_some())
            && !kind.kind.description().is_for_training
        {
            let all = AttackKind::ALL.iter().map(|kind| kind.description());
            let fit: Vec<&str> = all.filter(|attack| attack.is_for_training).map(|attack| attack.name).collect();
            let message = format!(
                "expected an attack that ascends a loss ({}) to train on, found \"{kind}\"", fit.join(", ")
            );
            fields.fault("kind", &message);
        }
        if fields.around.task() == Some(TaskKind::Attack)
            && let Some(Some(kind)) = kind
            && !kind.kind.description().is_for_evaluation
        {
            fields.fault("kind", &format!("expected {INSIDE}, found \"{kind}\""));
        }
        if fields.around.task() == Some(TaskKind::AdversarialTrain) && fields.peek("restarts").is_some_and(|count: u64| count > 1) {
            fields.warn("restarts", "training takes the first try; only evaluations take all of them");
        }
        if norm == Some(Norm::L2) && fields.peek("compat") == Some(Compat::Original) {
            fields.fault("norm", COMPAT_NORM);
        }
        if !fields.task_is(training) {
            fields.idle("model_mode", &mut model_mode, ModelMode::Eval, "only adversarial training uses it");
        }
        if !fields.task_is(&[TaskKind::Attack]) {
            fields.idle("save_images", &mut save_images, true, "only the task attack saves images");
        }
    }
}

/// The section: what all attacks share, and the settings of the one that `kind` names.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackSpec {
    pub head: AttackHead,
    /// Nothing where other sections say which attacks there are.
    pub own: Option<AttackSettings>,
}

impl Serialize for AttackSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fixed = self.head.kind.map(AttackName::fixed).unwrap_or_default();
        let all = toml::Table::try_from(&self.head).and_then(|mut table| {
            let own = self.own.as_ref().map(toml::Table::try_from).transpose()?;
            // What the name fixes is not written beside it.
            let own = own.into_iter().flatten();
            table.extend(own.filter(|(key, _)| !fixed.contains_key(key)));
            Ok(table)
        });
        all.map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl AttackSpec {
    /// The attack that the section names.
    ///
    /// # Errors
    /// None, where other sections say which attacks there are.
    pub fn entry(&self) -> Result<Entry> {
        let settings = self.own.clone();
        let settings = settings.ok_or_else(|| Error::spec("attack.kind: this task needs it"))?;
        let name = self
            .head
            .kind
            .map_or_else(|| settings.kind().name(), AttackName::name);
        Ok(Entry {
            name: name.to_owned(),
            settings,
        })
    }

    /// What an attack is made for: a model of so many classes, one unit of whose normalised channels is `units` pixels.
    ///
    /// # Errors
    /// Units of the reference, whose ball is one of linf, with another norm.
    pub(crate) fn making(&self, entry: &Entry, units: [f64; 3], classes: usize) -> Result<Making> {
        let epsilon = self.head.epsilon.get();
        let threat = match (self.head.norm, entry.settings.compat()) {
            // The reference clips normalised values to 2 epsilon around the original.
            (Norm::Linf, Compat::Original) => Threat {
                norm: threat::Norm::ChannelLinf(units),
                epsilon: 2.0 * epsilon,
            },
            (Norm::Linf, Compat::None) => Threat::linf(epsilon),
            (Norm::L2, Compat::None) => Threat::l2(epsilon),
            (Norm::L2, Compat::Original) => {
                return Err(Error::spec(format!("{}: {COMPAT_NORM}", entry.name)));
            }
        };
        Ok(Making {
            threat,
            classes,
            name: AttackName::find(&entry.name).map(AttackName::name),
            in_ensemble: false,
        })
    }
}

impl Section for AttackSpec {
    const KEYS: &'static [Key] = AttackHead::KEYS;

    fn read(mut fields: Fields) -> Option<Self> {
        let uses = Uses::of(fields.around);
        let names = &uses.names;
        let certain = fields.used
            && fields.around.task().is_some()
            && names.iter().all(|name| AttackName::find(name).is_some());
        let mut known: Vec<&str> = Self::KEYS.iter().map(|key| key.name).collect();
        match certain {
            true => known.extend(
                names
                    .iter()
                    .flat_map(|name| keys_of_name(name, &fields.tables)),
            ),
            // Every key that some attack has may be right.
            false => known.extend(AttackKind::all_keys().iter().map(|key| key.name)),
        }
        fields.refuse_all_but(&known, |key| misfit(names, key));
        fields.shared = true;
        let (path, tables) = (fields.path.clone(), fields.tables.clone());
        let mut part = fields.part(path.clone(), Self::KEYS, tables.clone());
        warn_of_some(&mut part, names);
        let head = AttackHead::read(part);
        let own = match head.as_ref().and_then(|head| head.kind) {
            None => Some(None),
            Some(kind) => read_named(&mut fields, &path, &tables, kind).map(Some),
        };
        Some(Self {
            head: head?,
            own: own?,
        })
    }

    fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
        let mut table = self.head.identity()?;
        if let Some(own) = &self.own {
            table.extend(own.identity()?);
        }
        Ok(table)
    }

    fn shrink(&mut self) -> Vec<&'static str> {
        self.own
            .as_mut()
            .map(AttackSettings::shrink)
            .unwrap_or_default()
    }
}

/// The attacks of a stage, by what its sections say; notes nothing.
struct Uses {
    /// Whether `attack.kind` says which there is.
    by_kind: bool,
    /// Those that take their settings from `[attack]`.
    names: Vec<String>,
}

/// The items of the lists of attacks that a stage's task goes by.
fn listed(around: &dyn Surroundings) -> Vec<Value> {
    let lists = ["transfer", "evaluate"].into_iter();
    let lists = lists.filter(|name| around.may_use(name));
    let items = lists.flat_map(|name| match peek(&around.tables(name), "attacks") {
        Some(Value::Array(_, items)) => items.clone(),
        _ => Vec::new(),
    });
    items.filter(|item| item.as_str() != Some("none")).collect()
}

/// Whether evaluations or transfers name attacks.
pub(crate) fn lists_attacks(around: &dyn Surroundings) -> bool {
    !listed(around).is_empty()
}

/// The attacks that a stage carries out, as far as its sections name any: of an ensemble, its members.
pub(crate) fn kinds_of_stage(around: &dyn Surroundings) -> Vec<AttackKind> {
    let shared = around.tables("attack");
    let own = Uses::of(around)
        .by_kind
        .then(|| peek(&shared, "kind"))
        .flatten();
    let items = own.cloned().into_iter().chain(listed(around));
    items
        .flat_map(|item| kinds_of_item(&item, &shared))
        .collect()
}

impl Uses {
    fn of(around: &dyn Surroundings) -> Self {
        let items = listed(around);
        let by_kind = match around.task() {
            Some(TaskKind::Transfer) => items.is_empty(),
            _ => around.attacks_by_itself(),
        };
        let mut names: Vec<String> = Vec::new();
        if by_kind && let Some(kind) = peek(&around.tables("attack"), "kind") {
            names.extend(kind.as_str().map(str::to_owned));
        }
        for name in items.iter().filter_map(|item| item.as_str()) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Self { by_kind, names }
    }
}

/// Reads the kind, which has no effect where others are named elsewhere.
fn read_kind(fields: &mut Fields, key: &'static str) -> Option<Option<AttackName>> {
    if Uses::of(fields.around).by_kind {
        return fields.required(key).map(Some);
    }
    let mut kind = fields.optional(key);
    let section = match fields.around.task() {
        Some(TaskKind::Transfer) => "transfer",
        _ => "evaluate",
    };
    fields.idle(
        key,
        &mut kind,
        None,
        &format!("{section}.attacks says which attacks there are"),
    );
    kind
}

/// Remarks on settings that change what a result means, and do so for some of the attacks alone.
fn warn_of_some(fields: &mut Fields, names: &[String]) {
    let kinds = names
        .iter()
        .filter_map(|name| Some(AttackName::find(name)?.kind.description()));
    let kinds: Vec<_> = kinds.collect();
    for (key, why) in [
        ("compat", "whose ball is one of pixels"),
        ("target", "which is content with any wrong class"),
    ] {
        let written = fields
            .peek::<Value>(key)
            .is_some_and(|value| value.as_str() != Some("none"));
        if let (true, Some(other)) = (
            written && kinds.iter().any(|attack| attack.has(key)),
            kinds.iter().find(|attack| !attack.has(key)),
        ) {
            fields.warn(key, &format!("has no effect on {}, {why}", other.name));
        }
    }
}

/// Reads epsilon against the range of the section's norm.
fn read_epsilon(fields: &mut Fields, key: &'static str) -> Option<Epsilon> {
    let norm = fields.peek("norm").unwrap_or(Norm::Linf);
    fields.required_by(key, |value| {
        let number = match value.as_str() {
            Some(text) => fraction(text),
            None => value
                .to_f64()
                .or_else(|| value.to_i128().map(|number| number as f64)),
        };
        number
            .and_then(|number| Epsilon::new(number, norm))
            .ok_or_else(|| {
                let hint = match number {
                    Some(number) if number > 1.0 => {
                        format!("; write {number}/255 as \"{number}/255\"")
                    }
                    _ => String::new(),
                };
                format!("a number in [0, {}]{hint}", Epsilon::max(norm))
            })
    })
}
