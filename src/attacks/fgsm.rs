//! FGSM (Goodfellow, Shlens and Szegedy, arXiv 1412.6572): one step to the border of the ball.

use super::{Steps, Threat};

impl Steps {
    /// FGSM: `x + epsilon sign(g)` (linf) or `x + epsilon g / |g|` (l2), clamped to the pixel range.
    pub fn fgsm(threat: Threat) -> Self {
        Self::from_original("fgsm", threat, threat.epsilon, 1)
    }
}
