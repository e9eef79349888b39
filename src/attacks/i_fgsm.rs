//! I-FGSM, the basic iterative method (Kurakin, Goodfellow and Bengio, arXiv 1607.02533).

use candle_core::Tensor;

use super::steps::Steps;
use super::{Attack, Goal, Objective, Originals, Target, Threat};
use crate::Result;

/// `k` steps of `step_size` from the original, each projected into the ball and the pixel range.
pub struct IFgsm {
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    pub random_start: bool,
    /// Runs from different random starts; more than one takes `random_start`.
    pub restarts: usize,
    pub objective: Objective,
    pub goal: Goal,
}

impl Attack for IFgsm {
    fn name(&self) -> &'static str {
        "i-fgsm"
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
