//! I-FGSM, the basic iterative method (Kurakin, Goodfellow and Bengio, arXiv 1607.02533).

use super::settings::{Compat, Making, Settings};
use super::{Attack, Goal, Steps, Threat};
use crate::Result;
use crate::spec::{Iterations, Restarts, StepSize, section};

section! {
    /// The settings of I-FGSM.
    IFgsmSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps; required.
        k: usize [required as Iterations] smoke 2,
        /// Start from a random point of the ball; default false.
        random_start: bool [or false],
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// Whether an image is left as the first step that succeeds on it leaves it, and costs no more passes; otherwise every image
        /// takes all steps, and the last one counts; default false.
        early_stop: bool [or false],
        /// The class to aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: Goal [or Goal::Misclassify],
        /// "original": a ball of 2 epsilon in normalised units, and the raw logit as loss; default "none".
        compat: Compat [or Compat::None],
    }
    check(fields) {
        if random_start == Some(false) {
            fields.idle("restarts", &mut restarts, 1, "every start is the same without random_start");
        }
    }
}

impl Steps {
    /// I-FGSM: `k` steps of `step_size` from the original.
    pub fn i_fgsm(threat: Threat, step_size: f64, k: usize) -> Self {
        Self::from_original("i-fgsm", threat, step_size, k)
    }
}

impl Settings for IFgsmSettings {
    const NAME: &'static str = "i-fgsm";
    const ABOUT: &'static str = "k signed gradient steps, each projected back into the ball";
    const PAPER: &'static str = "Kurakin et al., 2017, arXiv 1607.02533";
    const IS_FOR_TRAINING: bool = true;

    fn compat(&self) -> Compat {
        self.compat
    }

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Steps {
            random_start: self.random_start,
            restarts: self.restarts,
            early_stop: self.early_stop,
            objective: self.compat.loss(),
            goal: making.goal(Self::NAME, self.target)?,
            ..Steps::i_fgsm(making.threat, self.step_size, self.k)
        })])
    }
}
