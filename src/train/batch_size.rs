//! How large a batch a card has room for, found by trying.

use super::{EpochSums, Objective, RunningMetrics, Step, train_step};
use crate::data::Batch;
use crate::optim::Optimizer;
use crate::{Error, Result};

/// The error of a training step that found no room, with the largest of half, a quarter, .. of its batch that does.
///
/// The trials change the network, so this is for a run that ends.
pub(super) fn too_large(
    why: &str,
    objective: &dyn Objective,
    step: &Step<'_>,
    optimizer: &mut dyn Optimizer,
) -> Error {
    let halves = std::iter::successors(Some(step.batch.label_values.len() / 2), |n| Some(n / 2));
    let fits = halves
        .take_while(|&n| n > 0)
        .find(|&n| trial(objective, step, optimizer, n).is_ok());
    Error::failed(match fits {
        Some(n) => format!("{why}. A step of {n} images was tried and fits: data.batch_size = {n}"),
        None => {
            format!("{why}. Not even a step of one image fits: another card, or a smaller model")
        }
    })
}

/// The step on the first `n` images of its batch.
fn trial(
    objective: &dyn Objective,
    step: &Step<'_>,
    optimizer: &mut dyn Optimizer,
    n: usize,
) -> Result<()> {
    let batch = Batch {
        images: step.batch.images.narrow(0, 0, n)?,
        label_values: step.batch.label_values[..n].to_vec(),
        indices: step.batch.indices[..n].to_vec(),
        mixed: step.batch.mixed.as_ref().map(|mixed| mixed.first(n)),
    };
    let step = Step {
        batch: &batch,
        ..*step
    };
    let mut running = RunningMetrics::new(&EpochSums::default(), step.network.device())?;
    train_step(objective, &step, optimizer, 0.0, &mut running).map(drop)
}
