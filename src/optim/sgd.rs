//! Stochastic gradient descent with momentum, as torch defines it.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::section::OptimizerSpec;
use super::{Optimizer, decay, saved, zeros};
use crate::Result;
use crate::nn::{Gradients, Param};
use crate::ops::sgd::{self, Factors, Update};

/// `g += wd p; v = mu v + g; p -= lr v`, or `p -= lr (g + mu v)` in Nesterov's form.
pub struct Sgd {
    settings: OptimizerSpec,
    parameters: Vec<Param>,
    /// v of each parameter; empty without momentum.
    velocity: Vec<Tensor>,
}

impl Sgd {
    /// An optimizer of the given parameters, at rest, by the momentum and the weight decay of `settings`.
    pub fn new(settings: &OptimizerSpec, parameters: &[Param]) -> Result<Self> {
        let velocity = match settings.momentum {
            0.0 => Vec::new(),
            _ => zeros(parameters)?,
        };
        Ok(Self {
            settings: settings.clone(),
            parameters: parameters.to_vec(),
            velocity,
        })
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        let parameters = self.parameters.iter().enumerate();
        let updates = parameters.filter_map(|(index, param)| {
            Some(Update {
                parameter: param.tensor(),
                velocity: self.velocity.get(index),
                gradient: gradients.parameter(param)?,
            })
        });
        let whole = self.settings.weight_decay;
        let (decayed, others): (Vec<_>, Vec<_>) =
            updates.partition(|update| decay(&self.settings, update.parameter) == whole);
        for (updates, decay) in [(decayed, whole), (others, 0.0)] {
            let factors = Factors {
                rate: learning_rate,
                decay,
                momentum: self.settings.momentum,
                nesterov: self.settings.nesterov,
            };
            sgd::step(&updates, factors)?;
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let pairs = self.parameters.iter().zip(&self.velocity);
        pairs
            .map(|(p, v)| Ok((format!("momentum.{}", p.name()), v.copy()?)))
            .collect()
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for (param, velocity) in self.parameters.iter().zip(&mut self.velocity) {
            let name = format!("momentum.{}", param.name());
            *velocity = saved(state, &name, velocity)?.copy()?;
        }
        Ok(())
    }
}
