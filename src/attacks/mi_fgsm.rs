//! MI-FGSM, the momentum iterative method (Dong et al., arXiv 1710.06081): steps along an accumulated gradient.

use super::settings::{Making, Settings};
use super::{Attack, Goal, Steps, Threat};
use crate::Result;
use crate::spec::{Iterations, NonNegative, Restarts, StepSize, section};

section! {
    /// The settings of MI-FGSM.
    MiFgsmSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps; required.
        k: usize [required as Iterations] smoke 2,
        /// Share of the accumulated gradient that a step keeps, mu in the paper; default 1.
        decay: f64 [as NonNegative, or 1.0],
        /// Start from a random point of the ball; default false.
        random_start: bool [or false],
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// The class to aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: Goal [or Goal::Misclassify],
    }
    check(fields) {
        if random_start == Some(false) {
            fields.idle("restarts", &mut restarts, 1, "every start is the same without random_start");
        }
    }
}

impl Steps {
    /// MI-FGSM: `k` steps of `step_size` from the original along `m`, which each step sets to `decay m + g / |g|_1`. The
    /// paper calls `decay` mu.
    pub fn mi_fgsm(threat: Threat, step_size: f64, k: usize, decay: f64) -> Self {
        Self {
            decay: Some(decay),
            ..Self::from_original("mi-fgsm", threat, step_size, k)
        }
    }
}

impl Settings for MiFgsmSettings {
    const NAME: &'static str = "mi-fgsm";
    const ABOUT: &'static str = "as i-fgsm, along a gradient accumulated over the steps";
    const PAPER: &'static str = "Dong et al., 2018, arXiv 1710.06081";
    const IS_FOR_TRAINING: bool = true;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Steps {
            random_start: self.random_start,
            restarts: self.restarts,
            goal: making.goal(Self::NAME, self.target)?,
            ..Steps::mi_fgsm(making.threat, self.step_size, self.k, self.decay)
        })])
    }
}
