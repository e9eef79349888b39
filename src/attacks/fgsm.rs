//! FGSM (Goodfellow, Shlens and Szegedy, arXiv 1412.6572): one step to the border of the ball.

use candle_core::Tensor;

use super::steps::ascend;
use super::{Attack, Originals, Target, Threat};
use crate::Result;

/// `x + epsilon sign(g)` (linf) or `x + epsilon g / |g|` (l2), clamped to the pixel range.
pub struct Fgsm {
    pub threat: Threat,
    pub random_start: bool,
}

impl Attack for Fgsm {
    fn name(&self) -> &'static str {
        "fgsm"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let step = self.threat.epsilon;
        ascend(self.threat, step, 1, self.random_start, target, originals)
    }
}
