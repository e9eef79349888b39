//! Adversarial training (Madry et al., arXiv 1706.06083): the mean cross-entropy on adversarial images alone, made by the
//! stage's attack for the network as it is.

use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::spec::section;

section! {
    /// Minimises the cross-entropy on adversarial images.
    Adversarial {}
}

impl Objective for Adversarial {
    fn attacks(&self) -> bool {
        true
    }

    fn evaluate(&self, step: &Step<'_>) -> Result<Evaluated> {
        let adversary = step.adversary()?;
        let (images, checks) = adversary.craft(adversary.attack.as_ref(), step)?;
        step.cross_entropy(&images, checks)
    }
}
