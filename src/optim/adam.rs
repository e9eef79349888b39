//! Adam (Kingma and Ba, arXiv 1412.6980) and AdamW (Loshchilov and Hutter, arXiv 1711.05101), as torch defines them.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::section::{OptimizerKind, OptimizerSpec};
use super::{Optimizer, decay, saved, zeros};
use crate::Result;
use crate::nn::{Gradients, Param};
use crate::ops::adam::{self, Factors, Update};

/// `m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)`.
pub struct Adam {
    settings: OptimizerSpec,
    parameters: Vec<Param>,
    mean: Vec<Tensor>,
    square: Vec<Tensor>,
    /// Updates made so far.
    steps: u32,
}

impl Adam {
    /// An optimizer of the given parameters, at rest, by the betas, the eps and the weight decay of `settings`, which decays
    /// weights beside the update in "adamw" and through the gradient otherwise.
    pub fn new(settings: &OptimizerSpec, parameters: &[Param]) -> Result<Self> {
        Ok(Self {
            settings: settings.clone(),
            parameters: parameters.to_vec(),
            mean: zeros(parameters)?,
            square: zeros(parameters)?,
            steps: 0,
        })
    }

    /// The numbers of the step that `self.steps` counts.
    fn factors(&self, learning_rate: f64, decay: f64) -> Factors {
        let OptimizerSpec {
            kind,
            betas: [beta1, beta2],
            eps,
            ..
        } = self.settings;
        let t = f64::from(self.steps);
        let (coupled, keep) = match kind == OptimizerKind::Adamw {
            true => (0.0, 1.0 - learning_rate * decay),
            false => (decay, 1.0),
        };
        Factors {
            beta1,
            beta2,
            eps,
            coupled,
            keep,
            rate: learning_rate / (1.0 - beta1.powf(t)),
            correction: (1.0 - beta2.powf(t)).sqrt(),
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        let state = self.mean.iter().zip(&self.square);
        let parameters = self.parameters.iter().zip(state);
        let updates = parameters.filter_map(|(param, (mean, square))| {
            Some(Update {
                parameter: param.tensor(),
                mean,
                square,
                gradient: gradients.parameter(param)?,
            })
        });
        let whole = self.settings.weight_decay;
        let (decayed, others): (Vec<_>, Vec<_>) =
            updates.partition(|update| decay(&self.settings, update.parameter) == whole);
        adam::step(&decayed, self.factors(learning_rate, whole))?;
        adam::step(&others, self.factors(learning_rate, 0.0))
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let steps = Tensor::from_vec(vec![f64::from(self.steps)], 1, &Device::Cpu)?;
        let mut state = BTreeMap::from([("adam.steps".to_string(), steps)]);
        for ((param, mean), square) in self.parameters.iter().zip(&self.mean).zip(&self.square) {
            state.insert(format!("adam.mean.{}", param.name()), mean.copy()?);
            state.insert(format!("adam.square.{}", param.name()), square.copy()?);
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let steps = Tensor::from_vec(vec![0f64], 1, &Device::Cpu)?;
        self.steps = saved(state, "adam.steps", &steps)?.to_vec1::<f64>()?[0] as u32;
        for (index, param) in self.parameters.iter().enumerate() {
            let mean = format!("adam.mean.{}", param.name());
            let square = format!("adam.square.{}", param.name());
            self.mean[index] = saved(state, &mean, &self.mean[index])?.copy()?;
            self.square[index] = saved(state, &square, &self.square[index])?.copy()?;
        }
        Ok(())
    }
}
