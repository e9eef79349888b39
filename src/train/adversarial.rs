//! Adversarial training (Madry et al., arXiv 1706.06083): the mean cross-entropy on adversarial images alone, made by the
//! stage's attack for the network as it is.

use serde::Serialize;

use super::objective::Settings;
use super::{Evaluated, Objective, Step};
use crate::Result;

/// Minimises the cross-entropy on adversarial images.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Adversarial {}

impl Settings for Adversarial {}

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
