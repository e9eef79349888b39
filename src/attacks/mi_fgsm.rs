//! MI-FGSM, the momentum iterative method (Dong et al., arXiv 1710.06081): steps along an accumulated gradient.

use candle_core::Tensor;

use super::steps::Steps;
use super::{Attack, Goal, Objective, Originals, Target, Threat};
use crate::Result;

/// `k` steps of `step_size` along `m`, which each step sets to `decay m + g / |g|_1`, each projected into the ball and
/// the pixel range.
pub struct MiFgsm {
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    /// Share of the accumulated gradient that a step keeps, `mu` in the paper.
    pub decay: f64,
    pub random_start: bool,
    /// Runs from different random starts; more than one takes `random_start`.
    pub restarts: usize,
    pub objective: Objective,
    pub goal: Goal,
}

impl Attack for MiFgsm {
    fn name(&self) -> &'static str {
        "mi-fgsm"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn restarts(&self) -> usize {
        self.restarts
    }

    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let steps = Steps {
            threat: self.threat,
            step_size: self.step_size,
            k: self.k,
            random_start: self.random_start,
            objective: self.objective,
            goal: self.goal,
            decay: Some(self.decay),
        };
        steps.ascend(target, originals)
    }
}
