//! `[train]`: how long a model learns, and what it minimises.

use crate::spec::fields::{Fields, join};
use crate::spec::range::{Count, Share};
use crate::spec::section::{Key, Section, inner_identity, inner_shrink, section};
use crate::spec::task::TaskKind;
use crate::train::guard_section::{self, GuardSpec};
use crate::train::{AverageSpec, Awp, ChosenObjective, ObjectiveKind};

section! {
    /// How long a model learns, and what it minimises.
    TrainSpec {
        /// Passes over the training set; required.
        epochs: usize [required as Count] smoke 1,
        /// What each step minimises: the name of an objective, or { kind = "...", ... } with settings of its own; default
        /// "clean", in adversarial-train "adversarial".
        objective: ChosenObjective [by read_objective, identity identity],
        /// Label smoothing: the share of each target of a cross-entropy that all classes have in equal parts, in [0, 1); default 0.
        label_smoothing: f64 [as Share, or 0.0],
        /// Adversarial weight perturbation, { gamma = 0.005, ... }, which takes the gradients of each step where the weights are
        /// worst; default "none".
        awp: Option<Awp> [by Fields::optional_section, identity inner_identity] smoke inner_shrink,
        /// An average of the weights, { kind = "ema", ... } or { kind = "swa", ... }, measured and saved beside them; default
        /// "none".
        average: Option<AverageSpec> [by Fields::optional_section, identity inner_identity] smoke inner_shrink,
        /// Watches for catastrophic overfitting after each epoch, { on_collapse = "stop", ... }; default none.
        guard: Option<GuardSpec> [by guard_section::read, identity guard_section::identity],
    }
    check(fields) {
        if fields.used && matches!(guard, Some(Some(_))) && fields.around.task() != Some(TaskKind::AdversarialTrain) {
            fields.fault("guard", "watches robust accuracy, which is of task = \"adversarial-train\"");
        }
        if let (Some(Some(_)), Some(ObjectiveKind::Free)) = (&awp, objective.as_ref().map(ChosenObjective::kind)) {
            fields.fault("awp", "\"free\" takes the gradients of images and weights from one pass, at the weights as they are");
        }
    }
}

impl TrainSpec {
    /// The keys of the tables that keys of the section hold.
    pub fn tables() -> [(&'static str, &'static [Key]); 2] {
        [("awp", Awp::KEYS), ("average", AverageSpec::KEYS)]
    }
}

/// What each of the tasks minimises where the spec does not say.
const DEFAULTS: [(TaskKind, ObjectiveKind); 2] = [
    (TaskKind::Train, ObjectiveKind::Clean),
    (TaskKind::AdversarialTrain, ObjectiveKind::Adversarial),
];

/// Empty for what the task, which goes with whether the objective attacks, minimises anyway.
fn identity(objective: &ChosenObjective) -> Result<toml::Value, toml::ser::Error> {
    let mut table = objective.identity()?;
    let kind = objective.kind();
    if !table.is_empty() || DEFAULTS.iter().all(|(_, default)| *default != kind) {
        table.insert("kind".into(), kind.name().into());
    }
    Ok(table.into())
}

/// The key of a table that is not the objective's own.
const HEAD: &[Key] = &[Key {
    name: "kind",
    doc: "the objective",
}];

fn read_objective(fields: &mut Fields, key: &'static str) -> Option<ChosenObjective> {
    let task = fields.around.task();
    let path = join(&fields.path, key);
    let tables = match fields.is_table(key) {
        false => Vec::new(),
        true => fields.tables_in(key),
    };
    let written = match tables.is_empty() {
        true => fields.optional(key)?,
        false => {
            fields.opens(key);
            let mut head = fields.part(path.clone(), HEAD, tables.clone());
            Some(head.required("kind")?)
        }
    };
    let default = DEFAULTS.iter().find(|(of, _)| task == Some(*of));
    let default = default.map_or(ObjectiveKind::Clean, |(_, kind)| *kind);
    let kind: ObjectiveKind = written.unwrap_or(default);
    let known: Vec<&str> = HEAD.iter().chain(kind.keys()).map(|key| key.name).collect();
    let mut part = fields.part(path, kind.keys(), tables);
    part.refuse_all_but(&known, |part| elsewhere(kind, part));
    part.shared = true;
    let objective = kind.read(part)?;
    if fields.used && objective.attacks() != (task == Some(TaskKind::AdversarialTrain)) {
        let (images, task) = match objective.attacks() {
            true => ("adversarial images", TaskKind::AdversarialTrain),
            false => ("clean images alone", TaskKind::Train),
        };
        let message = format!("\"{kind}\" trains on {images}, which is task = \"{task}\"");
        fields.fault(key, &message);
        return None;
    }
    Some(objective)
}

/// The words for a setting that the objective does not have, and others have.
fn elsewhere(kind: ObjectiveKind, key: &str) -> Option<String> {
    let kinds = ObjectiveKind::NAMES.iter().copied();
    let having = kinds.filter(|name| {
        let keys = ObjectiveKind::from_name(name).map_or(&[][..], ObjectiveKind::keys);
        keys.iter().any(|own| own.name == key)
    });
    let having: Vec<String> = having.map(|name| format!("\"{name}\"")).collect();
    (!having.is_empty())
        .then(|| format!("\"{kind}\" does not have it, unlike {}", having.join(", ")))
}
