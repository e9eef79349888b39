//! I-FGSM, the basic iterative method (Kurakin, Goodfellow and Bengio, arXiv 1607.02533).

use super::{Steps, Threat};

impl Steps {
    /// I-FGSM: `k` steps of `step_size` from the original.
    pub fn i_fgsm(threat: Threat, step_size: f64, k: usize) -> Self {
        Self::from_original("i-fgsm", threat, step_size, k)
    }
}
