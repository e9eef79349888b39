//! The mean cross-entropy on the images as they are.

use candle_core::Tensor;

use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::spec::section;

section! {
    /// Minimises the cross-entropy on clean images.
    Clean {}
}

impl Objective for Clean {
    fn takes_mixed(&self) -> bool {
        true
    }

    fn loss(&self, step: &Step<'_>, images: &Tensor) -> Result<Evaluated> {
        step.cross_entropy(images)
    }
}
