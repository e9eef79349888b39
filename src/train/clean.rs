//! The mean cross-entropy on the images as they are.

use serde::Serialize;

use super::objective::Settings;
use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::attacks::Checks;

/// Minimises the cross-entropy on clean images.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Clean {}

impl Settings for Clean {}

impl Objective for Clean {
    fn evaluate(&self, step: &Step<'_>) -> Result<Evaluated> {
        step.cross_entropy(&step.batch.images, Checks::default())
    }
}
