//! FGSM (Goodfellow, Shlens and Szegedy, arXiv 1412.6572): one step to the border of the ball.

use candle_core::Tensor;

use super::steps::Steps;
use super::{Attack, Goal, Objective, Originals, Target, Threat};
use crate::Result;

/// `x + epsilon sign(g)` (linf) or `x + epsilon g / |g|` (l2), clamped to the pixel range.
pub struct Fgsm {
    pub threat: Threat,
    pub random_start: bool,
    /// Runs from different random starts; more than one takes `random_start`.
    pub restarts: usize,
    pub objective: Objective,
    pub goal: Goal,
}

impl Attack for Fgsm {
    fn name(&self) -> &'static str {
        "fgsm"
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
            step_size: self.threat.epsilon,
            k: 1,
            random_start: self.random_start,
            objective: self.objective,
            goal: self.goal,
            decay: None,
        };
        steps.ascend(target, originals)
    }
}
