//! PGD (Madry et al., arXiv 1706.06083): projected steps from a random point of the ball.

use candle_core::Tensor;

use super::steps::Steps;
use super::{Attack, Goal, Objective, Originals, Target, Threat};
use crate::Result;

/// `k` steps of `step_size`, each projected into the ball and the pixel range.
pub struct Pgd {
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    pub random_start: bool,
    /// Runs from different random starts; more than one takes `random_start`.
    pub restarts: usize,
    pub objective: Objective,
    pub goal: Goal,
}

impl Attack for Pgd {
    fn name(&self) -> &'static str {
        "pgd"
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
            decay: None,
        };
        steps.ascend(target, originals)
    }
}
