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
    }
}
