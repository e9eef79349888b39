//! PGD (Madry et al., arXiv 1706.06083): projected steps from a random point of the ball.

use candle_core::Tensor;

use super::steps::ascend;
use super::{Attack, Originals, Target, Threat};
use crate::Result;

/// `k` steps of `step_size`, each projected into the ball and the pixel range.
pub struct Pgd {
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    pub random_start: bool,
}

impl Attack for Pgd {
    fn name(&self) -> &'static str {
        "pgd"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let (step, k) = (self.step_size, self.k);
        ascend(self.threat, step, k, self.random_start, target, originals)
    }
}
