//! The training step: the objective on a batch, what is counted of it, the update.

use super::{Objective, RunningMetrics, Step};
use crate::ops::device::enter_for;
use crate::optim::Optimizer;
use crate::{Error, Result};

/// One update of the network's weights with the given learning rate, counted in `running`. Returns the mean loss of the
/// batch; on a card, where nothing is waited for, nothing. A loss that is known and not finite updates nothing.
pub fn train_step(
    objective: &dyn Objective,
    step: &Step<'_>,
    optimizer: &mut dyn Optimizer,
    rate: f64,
    running: &mut RunningMetrics,
) -> Result<Option<f64>> {
    if step.batch.mixed.is_some() && !objective.takes_mixed() {
        return Err(Error::failed(
            "images were mixed in pairs for an objective that takes one label an image",
        ));
    }
    enter_for(step.network.device(), || {
        let (crafted, checks) = objective.craft(step)?;
        let awp = step.awp.filter(|awp| step.at.epoch >= awp.start as u64);
        let perturbation = match awp {
            Some(awp) => Some(awp.perturb(objective, step, &crafted)?),
            None => None,
        };
        let update = || {
            let mut found = objective.loss(step, &crafted)?;
            found.checks = checks;
            running.add(&mut found, &step.batch.label_values, step.at.batch)?;
            let loss = found.losses.known_mean();
            if loss.is_none_or(f64::is_finite) {
                optimizer.step(&found.gradients, rate)?;
                objective.updated(step, &found)?;
            }
            Ok(loss)
        };
        let updated = update();
        if let Some(perturbation) = perturbation {
            perturbation.take_off()?;
        }
        updated
    })
}
