//! PGD (Madry et al., arXiv 1706.06083): projected steps from a random point of the ball.

use super::settings::{Compat, Making, Settings};
use super::{Attack, Goal, Steps, Threat};
use crate::Result;
use crate::spec::{Iterations, Restarts, StepSize, section};

section! {
    /// The settings of PGD.
    PgdSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps; required.
        k: usize [required as Iterations] smoke 2,
        /// Start from a random point of the ball; default true.
        random_start: bool [or true],
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// Whether an image is left as the first step that succeeds on it leaves it, and costs no more passes; otherwise every image
        /// takes all steps, and the last one counts; default false.
        early_stop: bool [or false],
        /// The class to aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: Goal [or Goal::Misclassify],
        /// "original": a ball of 2 epsilon in normalised units; default "none".
        compat: Compat [or Compat::None],
    }
    check(fields) {
        if random_start == Some(false) {
            fields.idle("restarts", &mut restarts, 1, "every start is the same without random_start");
        }
    }
}

impl Steps {
    /// PGD: `k` steps of `step_size` from a random start.
    pub fn pgd(threat: Threat, step_size: f64, k: usize) -> Self {
        Self {
            random_start: true,
            ..Self::from_original("pgd", threat, step_size, k)
        }
    }
}

impl Settings for PgdSettings {
    const NAME: &'static str = "pgd";
    const ABOUT: &'static str = "as i-fgsm, from a uniformly random point of the ball";
    const PAPER: &'static str = "Madry et al., 2018, arXiv 1706.06083";
    const IS_FOR_TRAINING: bool = true;

    fn compat(&self) -> Compat {
        self.compat
    }

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Steps {
            random_start: self.random_start,
            restarts: self.restarts,
            early_stop: self.early_stop,
            goal: making.goal(Self::NAME, self.target)?,
            ..Steps::pgd(making.threat, self.step_size, self.k)
        })])
    }
}
