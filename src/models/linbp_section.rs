//! `[linbp]`: where the backward pass skips the derivative of the activations.

use serde::{Serialize, Serializer};

use crate::attacks::kinds_of_stage;
use crate::choice::choices;
use crate::models::{Layers, LinbpUse};
use crate::spec::fields::Fields;
use crate::spec::section::section;
use crate::spec::task::TaskKind;

/// Why LinBP makes no difference to some attacks.
pub(crate) const NO_GRADIENTS: &str = "square asks for logits alone, and LinBP changes gradients";

choices! {
    /// What becomes of the gradient besides the activations' derivatives.
    LinbpVariant {
        /// Nothing (arXiv 2112.11018).
        Plain = "plain",
        /// In residual blocks the gradient of the branch is brought to the norm that it has with the true derivatives
        /// (Guo, Li and Chen, NeurIPS 2020, arXiv 2012.03528).
        Rescaled = "rescaled",
    }
}

/// The activations made linear, for each of the two uses of LinBP. Written as one value where both are the same,
/// otherwise as a table of `train` and `attack`, in which "default" stands for the one that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayersByUse {
    /// For the gradients of the weights.
    pub train: Layers,
    /// For the gradients of the images.
    pub attack: Layers,
}

impl LayersByUse {
    /// The same activations for both uses.
    pub fn both(layers: Layers) -> Self {
        Self {
            train: layers.clone(),
            attack: layers,
        }
    }

    /// The activations for one use.
    pub fn of(&self, r#use: LinbpUse) -> &Layers {
        match r#use {
            LinbpUse::Train => &self.train,
            LinbpUse::Attack => &self.attack,
        }
    }
}

impl Default for LayersByUse {
    fn default() -> Self {
        Self::both(Layers::Default)
    }
}

impl Serialize for LayersByUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        if self.train == self.attack {
            return self.train.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("train", &self.train)?;
        map.serialize_entry("attack", &self.attack)?;
        map.end()
    }
}

section! {
    /// Where the backward pass skips the derivative of the activations (linear backpropagation).
    LinbpSpec {
        /// Linear backward pass for the gradients of the weights, in training; default false.
        train: bool [or false],
        /// Linear backward pass for the gradients of the images, in attacks; default false.
        attack: bool [or false],
        /// "plain", or "rescaled": branches of ResNets keep the norm of their true gradient; default "plain".
        variant: LinbpVariant [or LinbpVariant::Plain],
        /// The activations made linear: "default" (the published choice), "all", "from:NAME", a list of globs, or, in the task transfer,
        /// "search"; or { train = ..., attack = ... } with one of these each; default "default".
        layers: LayersByUse [by read_layers, or LayersByUse::default()],
    }
    check(fields) {
        if !fields.task_is(&[TaskKind::Train, TaskKind::AdversarialTrain]) {
            fields.idle("train", &mut train, false, "nothing is trained here");
        }
        let attacks = kinds_of_stage(fields.around);
        let gradients = attacks.is_empty() || attacks.iter().any(|kind| kind.description().has_gradients);
        if attacks.is_empty() && fields.around.task().is_some() {
            fields.idle("attack", &mut attack, false, "nothing is attacked here");
        } else if !gradients {
            fields.idle("attack", &mut attack, false, NO_GRADIENTS);
        }
        let mut in_attacks = attack;
        if fields.around.task() == Some(TaskKind::Transfer) {
            fields.idle("attack", &mut attack, false, "transfer.linbp says with and without, or which");
            in_attacks = Some(gradients);
        }
        let searches = layers.as_ref().is_some_and(|layers| {
            layers.attack == Layers::Search || layers.train == Layers::Search
        });
        if searches && fields.around.task().is_some_and(|task| task != TaskKind::Transfer) {
            fields.fault("layers", "\"search\" looks for layers whose images carry over, in the task transfer: name some here");
        }
        match (train, in_attacks) {
            (Some(false), Some(false)) => {
                let why = "linbp.train and linbp.attack are both off";
                fields.idle("variant", &mut variant, LinbpVariant::Plain, why);
                fields.idle("layers", &mut layers, LayersByUse::default(), why);
            }
            // A use that is off makes no difference: it follows the other, and so changes no hash.
            (Some(false), Some(true)) => if let Some(layers) = &mut layers
                && layers.train != layers.attack
            {
                layers.train = layers.attack.clone();
                fields.idle_part("layers", "train", "linbp.train is off");
            }
            (Some(true), Some(false)) => if let Some(layers) = &mut layers
                && layers.train != layers.attack
            {
                layers.attack = layers.train.clone();
                fields.idle_part("layers", "attack", "linbp.attack is off");
            }
            _ => {}
        }
    }
}

fn read_layers(fields: &mut Fields, key: &'static str) -> Option<LayersByUse> {
    if !fields.is_table(key) {
        let layers = fields.optional::<Layers>(key)?;
        return Some(LayersByUse::both(layers.unwrap_or(Layers::Default)));
    }
    let known = fields.refuse_unknown_parts(key, &["train", "attack"]);
    let train = fields.optional_part::<Layers>(key, "train");
    let attack = fields.optional_part::<Layers>(key, "attack");
    known.then_some(())?;
    Some(LayersByUse {
        train: train?.unwrap_or(Layers::Default),
        attack: attack?.unwrap_or(Layers::Default),
    })
}
