//! The mean cross-entropy on the images as they are.

use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::attacks::Checks;
use crate::spec::section;

section! {
    /// Minimises the cross-entropy on clean images.
    Clean {}
}

impl Objective for Clean {
    fn evaluate(&self, step: &Step<'_>) -> Result<Evaluated> {
        step.cross_entropy(&step.batch.images, Checks::default())
    }
}
