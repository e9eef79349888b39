//! `[train]`: how long a model learns, and what it minimises.

use crate::spec::choice::one_of;
use crate::spec::fields::Fields;
use crate::spec::range::Count;
use crate::spec::section::section;
use crate::spec::task::Task;
use crate::train::{ChosenObjective, ObjectiveKind};

section! {
    /// How long a model learns, and what it minimises.
    TrainSpec {
        /// Passes over the training set; required.
        epochs: usize [required as Count],
        /// What each step minimises: the name of an objective, or { kind = "...", ... } with settings of its own; default
        /// "clean", in adversarial-train "adversarial".
        #[serde(skip_serializing_if = "is_default")]
        objective: ChosenObjective [by read_objective],
    }
}

/// What the tasks `train` and `adversarial-train` minimise where the spec does not say.
const DEFAULTS: [ObjectiveKind; 2] = [ObjectiveKind::Clean, ObjectiveKind::Adversarial];

/// Whether it is what the task, which its need of an attack tells, minimises anyway: then runs keep their names.
fn is_default(objective: &ChosenObjective) -> bool {
    matches!(
        objective,
        ChosenObjective::Clean(_) | ChosenObjective::Adversarial(_)
    )
}

fn read_objective(fields: &mut Fields, key: &'static str) -> Option<ChosenObjective> {
    let attacks = fields.uses.task == Some(Task::AdversarialTrain);
    let written = match fields.is_table(key) {
        true => fields.required_part(key, "kind").map(Some)?,
        false => fields.optional(key)?,
    };
    let kind: ObjectiveKind = written.unwrap_or(DEFAULTS[usize::from(attacks)]);
    let own = kind.keys().iter().map(|key| key.name);
    let own: Vec<&str> = std::iter::once("kind").chain(own).collect();
    let known = fields.refuse_unknown_parts(key, &own, |part| {
        let kinds = ObjectiveKind::NAMES.iter().copied();
        let having = kinds.filter(|name| {
            let keys = ObjectiveKind::from_name(name).map_or(&[][..], ObjectiveKind::keys);
            keys.iter().any(|key| key.name == part)
        });
        let having: Vec<&str> = having.collect();
        (!having.is_empty()).then(|| {
            format!(
                "expected kind = {} to have it, found \"{kind}\"",
                one_of(&having)
            )
        })
    });
    let objective = kind.read(fields, key).filter(|_| known)?;
    if fields.used && objective.attacks() != attacks {
        let (images, task) = match objective.attacks() {
            true => ("adversarial images", Task::AdversarialTrain),
            false => ("clean images alone", Task::Train),
        };
        fields.fault(
            key,
            &format!("\"{kind}\" trains on {images}, which is task = \"{task}\""),
        );
        return None;
    }
    Some(objective)
}
