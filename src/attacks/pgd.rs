//! PGD (Madry et al., arXiv 1706.06083): projected steps from a random point of the ball.

use super::{Steps, Threat};

impl Steps {
    /// PGD: `k` steps of `step_size` from a random start.
    pub fn pgd(threat: Threat, step_size: f64, k: usize) -> Self {
        Self {
            random_start: true,
            ..Self::from_original("pgd", threat, step_size, k)
        }
    }
}
