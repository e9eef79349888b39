//! What a stage can do, by name.

use super::section::Key;
use crate::choice::choices;

choices! {
    /// What a stage does.
    TaskKind {
        /// One of the student-teacher simulations.
        Simulate = "simulate",
        /// Train a model on clean images.
        Train = "train",
        /// Train a model on adversarial images made on the way.
        AdversarialTrain = "adversarial-train",
        /// Make adversarial images for a trained model.
        Attack = "attack",
        /// Measure a model on clean, attacked or another stage's adversarial images.
        Evaluate = "evaluate",
        /// Make adversarial images on each of several models and measure all of them on these.
        Transfer = "transfer",
    }
}

impl TaskKind {
    /// Whether the task leaves weights that another stage can start from.
    pub fn is_training(self) -> bool {
        matches!(self, Self::Train | Self::AdversarialTrain)
    }
}

/// The keys of a stage beside its sections.
pub(crate) const HEAD: &[Key] = &[
    Key {
        name: "task",
        doc: "what the stage does: \"simulate\", \"train\", \"adversarial-train\", \"attack\", \"evaluate\" or \"transfer\"",
    },
    Key {
        name: "seed",
        doc: "the seed of every random number; default 0",
    },
    Key {
        name: "precision",
        doc: "how exactly a card computes: \"f32\", \"tf32\" or \"bf16\"; default \"tf32\" there, the CPU has \"f32\" alone",
    },
];

/// The names of [`HEAD`].
pub(crate) const HEAD_NAMES: &[&str] = &["task", "seed", "precision"];
