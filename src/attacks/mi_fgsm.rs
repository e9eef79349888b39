//! MI-FGSM, the momentum iterative method (Dong et al., arXiv 1710.06081): steps along an accumulated gradient.

use super::{Steps, Threat};

impl Steps {
    /// MI-FGSM: `k` steps of `step_size` from the original along `m`, which each step sets to `decay m + g / |g|_1`. The
    /// paper calls `decay` mu.
    pub fn mi_fgsm(threat: Threat, step_size: f64, k: usize, decay: f64) -> Self {
        Self {
            decay: Some(decay),
            ..Self::from_original("mi-fgsm", threat, step_size, k)
        }
    }
}
