//! Optimizers, whose state can be saved, and learning-rate schedules.

mod adam;
mod clip;
mod schedule;
mod schedule_section;
mod section;
mod sgd;

pub use schedule_section::{SchedulerKind, SchedulerSpec};
pub use section::{OptimizerKind, OptimizerSpec};
use std::collections::BTreeMap;

use candle_core::Tensor;

pub use adam::Adam;
pub use clip::Clipped;
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

/// The weight decay of a parameter: `no_decay` leaves out those of one dimension.
fn decay(settings: &OptimizerSpec, parameter: &Tensor) -> f64 {
    match settings.no_decay && parameter.rank() <= 1 {
        true => 0.0,
        false => settings.weight_decay,
    }
}

/// The optimizer of the given parameters.
pub fn optimizer(settings: &OptimizerSpec, parameters: &[Param]) -> Result<Box<dyn Optimizer>> {
    let optimizer: Box<dyn Optimizer> = match settings.kind {
        OptimizerKind::Sgd => Box::new(Sgd::new(settings, parameters)?),
        OptimizerKind::Adam | OptimizerKind::Adamw => Box::new(Adam::new(settings, parameters)?),
    };
    Ok(match settings.clip_norm {
        Some(most) => Box::new(Clipped::new(optimizer, parameters, most)),
        None => optimizer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{self, ModelConfig};
    use crate::nn::{BackwardPlan, Pass, Tape};
    use crate::ops::cross_entropy;

    /// The parameters of a linear model after a step.
    fn stepped(settings: &OptimizerSpec) -> Vec<Vec<f32>> {
        let config = ModelConfig {
            widths: Some(Vec::new()),
            ..ModelConfig::new([1, 1, 3], 2)
        };
        let network = models::build("mlp", &config).unwrap();
        for param in network.parameters() {
            param.set(&param.tensor().ones_like().unwrap()).unwrap();
        }
        let images = Tensor::new(&[[[[0.1f32, 0.5, 0.9]]]], network.device()).unwrap();
        let tape = Tape::new(Pass::training(BackwardPlan::none(), Default::default()));
        let logits = network.forward(&tape, &tape.input(&images)).unwrap();
        let gradient = cross_entropy::gradient(logits.tensor(), &[1], 1.0).unwrap();
        let gradients = tape.backward(&logits, gradient).unwrap();
        let mut optimizer = optimizer(settings, network.parameters()).unwrap();
        optimizer.step(&gradients, 0.1).unwrap();
        let parameters = network.parameters().iter();
        parameters
            .map(|param| param.tensor().flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    #[test]
    fn without_decay_biases_move_as_if_there_were_none() {
        for kind in [
            OptimizerKind::Sgd,
            OptimizerKind::Adam,
            OptimizerKind::Adamw,
        ] {
            let with = |weight_decay, no_decay| {
                stepped(&OptimizerSpec {
                    weight_decay,
                    no_decay,
                    ..OptimizerSpec::new(kind)
                })
            };
            let (some, all, none) = (with(0.5, true), with(0.5, false), with(0.0, false));
            // The weight, then the bias.
            assert_eq!((&some[0], &some[1]), (&all[0], &none[1]), "{kind}");
            assert_ne!((&all[0], &all[1]), (&none[0], &none[1]), "{kind}");
        }
    }
}
