//! FGSM (Goodfellow, Shlens and Szegedy, arXiv 1412.6572): one step to the border of the ball.

use super::settings::{Compat, Making, Settings};
use super::{Attack, Goal, Steps, Threat};
use crate::Result;
use crate::spec::{Restarts, section};

section! {
    /// The settings of FGSM.
    FgsmSettings {
        /// Start from a random point of the ball; default false.
        random_start: bool [or false],
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
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
    /// FGSM: `x + epsilon sign(g)` (linf) or `x + epsilon g / |g|` (l2), clamped to the pixel range.
    pub fn fgsm(threat: Threat) -> Self {
        Self::from_original("fgsm", threat, threat.epsilon, 1)
    }
}

impl Settings for FgsmSettings {
    const NAME: &'static str = "fgsm";
    const ABOUT: &'static str = "one signed gradient step of length epsilon";
    const PAPER: &'static str = "Goodfellow et al., 2015, arXiv 1412.6572";
    const IS_FOR_TRAINING: bool = true;

    fn compat(&self) -> Compat {
        self.compat
    }

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Steps {
            random_start: self.random_start,
            restarts: self.restarts,
            objective: self.compat.loss(),
            goal: making.goal(Self::NAME, self.target)?,
            ..Steps::fgsm(making.threat)
        })])
    }
}
