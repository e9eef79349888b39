//! Task `train`: a model on clean images.

use super::StageContext;
use super::fit::Fit;
use crate::Result;
use crate::run::Metrics;
use crate::spec::TrainTask;

/// Trains on the images as they are.
pub(super) fn run(ctx: &StageContext<'_>, task: &TrainTask) -> Result<Metrics> {
    Fit::new(ctx, task, "none")?.run(&|_, batch, _| Ok(batch.images.clone()))
}
