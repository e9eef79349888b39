//! What a stage does, and which sections that takes.

use super::choice::choices;

choices! {
    /// What a stage does.
    Task {
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

impl Task {
    /// Whether the task uses a section. `attacks` says whether its evaluations attack.
    pub(crate) fn uses(self, section: &str, attacks: bool) -> bool {
        match section {
            "simulate" => self == Self::Simulate,
            "data" | "linbp" => self != Self::Simulate,
            "model" => !matches!(self, Self::Simulate | Self::Transfer),
            "transfer" => self == Self::Transfer,
            "optimizer" | "scheduler" | "train" | "checkpoint" => self.is_training(),
            "attack" => {
                matches!(self, Self::Attack | Self::AdversarialTrain | Self::Transfer) || attacks
            }
            "evaluate" => self.is_training() || self == Self::Evaluate,
            _ => false,
        }
    }

    /// Whether the task leaves weights that another stage can start from.
    pub fn is_training(self) -> bool {
        matches!(self, Self::Train | Self::AdversarialTrain)
    }
}
