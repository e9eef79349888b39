//! I-FGSM, the basic iterative method (Kurakin, Goodfellow and Bengio, arXiv 1607.02533).

use candle_core::Tensor;

use super::steps::ascend;
use super::{Attack, Originals, Target, Threat};
use crate::Result;

/// `k` steps of `step_size` from the original, each projected into the ball and the pixel range.
pub struct IFgsm {
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    pub random_start: bool,
}

impl Attack for IFgsm {
    fn name(&self) -> &'static str {
        "i-fgsm"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let (step, k) = (self.step_size, self.k);
        ascend(self.threat, step, k, self.random_start, target, originals)
    }
}
