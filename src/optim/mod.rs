//! Optimizers, whose state can be saved, and learning-rate schedules.

mod adam;
mod schedule;
mod schedule_section;
mod section;
mod sgd;

pub use schedule_section::{SchedulerKind, SchedulerSpec};
pub use section::{OptimizerKind, OptimizerSpec};
use std::collections::BTreeMap;

use candle_core::Tensor;

pub use adam::Adam;
pub use schedule::{Position, Schedule};
pub use sgd::Sgd;

use crate::nn::{Gradients, Param};
use crate::{Error, Result};

/// A rule that turns gradients into updates of parameters, in place.
pub trait Optimizer: Send {
    /// One update with the given learning rate. A parameter without gradient stays as it is.
    fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<()>;

    /// Everything besides the parameters that the next update depends on, by name.
    fn state(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Takes over what [`Optimizer::state`] gave.
    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;
}

/// The tensor called `name` of a saved state, which must fit `like`.
fn saved<'a>(state: &'a BTreeMap<String, Tensor>, name: &str, like: &Tensor) -> Result<&'a Tensor> {
    let tensor = state.get(name).ok_or_else(|| {
        Error::failed(format!(
            "the checkpoint lacks the optimizer's tensor {name}"
        ))
    })?;
    if tensor.dims() != like.dims() || tensor.dtype() != like.dtype() {
        return Err(Error::failed(format!(
            "the optimizer's tensor {name} is {:?} {:?} in the checkpoint, expected {:?} {:?}",
            tensor.dtype(),
            tensor.dims(),
            like.dtype(),
            like.dims()
        )));
    }
    Ok(tensor)
}

/// One zero tensor for each parameter.
fn zeros(parameters: &[Param]) -> Result<Vec<Tensor>> {
    parameters
        .iter()
        .map(|p| Ok(p.tensor().zeros_like()?))
        .collect()
}

/// The optimizer of the given parameters.
pub fn optimizer(settings: &OptimizerSpec, parameters: &[Param]) -> Result<Box<dyn Optimizer>> {
    Ok(match settings.kind {
        OptimizerKind::Sgd => Box::new(Sgd::new(settings, parameters)?),
        OptimizerKind::Adam | OptimizerKind::Adamw => Box::new(Adam::new(settings, parameters)?),
    })
}
