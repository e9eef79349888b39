//! The training step: the objective on a batch, what is counted of it, the update.

use super::{Objective, RunningSums, Step};
use crate::Result;
use crate::ops::place::enter_for;
use crate::optim::Optimizer;

/// One update of the network's weights with the given learning rate, counted in `sums`. Returns the mean loss of the batch;
/// on a card, where nothing is waited for, nothing. A loss that is known and not finite updates nothing.
pub fn train_step(
    objective: &dyn Objective,
    step: &Step<'_>,
    optimizer: &mut dyn Optimizer,
    rate: f64,
    sums: &mut RunningSums,
) -> Result<Option<f64>> {
    enter_for(step.network.device(), || {
        let found = objective.evaluate(step)?;
        let loss = sums.add(&found, &step.batch.label_values, step.at.batch)?;
        if loss.is_none_or(f64::is_finite) {
            optimizer.step(&found.gradients, rate)?;
        }
        Ok(loss)
    })
}
