//! Task `train`: a model on clean images.

use super::StageContext;
use super::fit::Fit;
use crate::Result;
use crate::attacks::Checks;
use crate::run::Metrics;

/// Trains on the images as they are.
pub(super) fn run(ctx: &StageContext<'_>) -> Result<Metrics> {
    Fit::new(ctx)?.run(&|_, batch, _| Ok((batch.images.clone(), Checks::default())))
}
