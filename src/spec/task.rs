//! What a stage can do, by name.

use super::choice::choices;

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
