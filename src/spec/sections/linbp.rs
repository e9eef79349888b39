//! `[linbp]`: where the backward pass skips the derivative of the activations.

use crate::models::Layers;
use crate::spec::section::section;
use crate::spec::task::Task;

section! {
    /// Where the backward pass skips the derivative of the activations (linear backpropagation).
    LinbpSpec {
        /// Linear backward pass for the gradients of the weights, in training; default false.
        train: bool [or false],
        /// Linear backward pass for the gradients of the images, in attacks; default false.
        attack: bool [or false],
        /// The activations made linear: "default" (the published choice), "all", "from:NAME", or a list of globs.
        layers: Layers [or Layers::Default],
    }
    check(fields) {
        if !fields.task_is(&[Task::Train, Task::AdversarialTrain]) {
            fields.idle("train", &mut train, false, "nothing is trained here");
        }
        if fields.attacks().is_empty() {
            fields.idle("attack", &mut attack, false, "nothing is attacked here");
        }
        if (train, attack) == (Some(false), Some(false)) {
            fields.idle("layers", &mut layers, Layers::Default, "linbp.train and linbp.attack are both off");
        }
    }
}

impl Default for LinbpSpec {
    fn default() -> Self {
        Self {
            train: false,
            attack: false,
            layers: Layers::Default,
        }
    }
}
