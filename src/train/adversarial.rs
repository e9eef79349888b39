//! Adversarial training (Madry et al., arXiv 1706.06083): the mean cross-entropy on adversarial images alone, made by the
//! stage's attack for the network as it is.

use candle_core::Tensor;

use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::attacks::Checks;
use crate::spec::section;

section! {
    /// Minimises the cross-entropy on adversarial images.
    Adversarial {}
}

impl Objective for Adversarial {
    fn attacks(&self) -> bool {
        true
    }

    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        step.attacked()
    }

    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated> {
        step.cross_entropy(crafted)
    }
}
