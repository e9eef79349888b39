//! Gradient clipping (Pascanu et al., arXiv 1211.5063): what is longer than a bound is scaled down to it.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::Optimizer;
use crate::Result;
use crate::nn::{Gradients, Param};

/// What torch adds to the norm before it divides.
const EPS: f64 = 1e-6;

/// An optimizer whose gradients are at most so long: `g min(1, most / (|g| + 1e-6))`, where `|g|` is the l2 norm of all
/// gradients together, as torch's `clip_grad_norm_` has it.
pub struct Clipped {
    optimizer: Box<dyn Optimizer>,
    parameters: Vec<Param>,
    most: f64,
}

impl Clipped {
    /// Clips the gradients of `parameters` to the norm `most` before `optimizer` takes them.
    pub fn new(optimizer: Box<dyn Optimizer>, parameters: &[Param], most: f64) -> Self {
        Self {
            optimizer,
            parameters: parameters.to_vec(),
            most,
        }
    }
}

impl Optimizer for Clipped {
    fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        let Some(norm) = gradients.norm(&self.parameters)? else {
            return self.optimizer.step(gradients, learning_rate);
        };
        let factor = ((norm + EPS)?.recip()? * self.most)?.minimum(1.0)?;
        self.optimizer
            .step(&gradients.times(&factor)?, learning_rate)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.optimizer.state()
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.optimizer.load_state(state)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::models::{self, ModelConfig};
    use crate::nn::{BackwardPlan, Pass, Tape};
    use crate::ops::cross_entropy;
    use crate::optim::{OptimizerKind, OptimizerSpec, optimizer};

    /// How far a step of rate 1 moves the weights of an mlp, and the norm of its gradients.
    fn moved(clip_norm: Option<f64>) -> (f64, f64) {
        let config = ModelConfig {
            widths: Some(vec![5]),
            dtype: DType::F64,
            ..ModelConfig::new([1, 2, 2], 3)
        };
        let network = models::build("mlp", &config).unwrap();
        let images = Tensor::arange(0.0, 8.0, &Device::Cpu).unwrap();
        let images = images.reshape((2, 1, 2, 2)).unwrap();
        let tape = Tape::new(Pass::training(BackwardPlan::none(), Default::default()));
        let logits = network.forward(&tape, &tape.input(&images)).unwrap();
        let gradient = cross_entropy::gradient(logits.tensor(), &[2, 0], 1.0).unwrap();
        let gradients = tape.backward(&logits, gradient).unwrap();
        let settings = OptimizerSpec {
            clip_norm,
            ..OptimizerSpec::new(OptimizerKind::Sgd)
        };
        let before = network.state().unwrap();
        let mut optimizer = optimizer(&settings, network.parameters()).unwrap();
        optimizer.step(&gradients, 1.0).unwrap();
        let number = |tensor: Tensor| tensor.to_scalar::<f64>().unwrap();
        let squares = network.parameters().iter().map(|param| {
            let by = (param.tensor() - &before[param.name()]).unwrap();
            number(by.sqr().unwrap().sum_all().unwrap())
        });
        let norm = gradients.norm(network.parameters()).unwrap().unwrap();
        (squares.sum::<f64>().sqrt(), number(norm))
    }

    #[test]
    fn long_gradients_are_scaled_to_the_bound_and_short_ones_stay() {
        let (free, norm) = moved(None);
        assert!((free - norm).abs() < 1e-12, "{free} {norm}");
        let (clipped, _) = moved(Some(norm / 4.0));
        let expected = norm * (norm / 4.0) / (norm + EPS);
        assert!((clipped - expected).abs() < 1e-12, "{clipped} {expected}");
        assert_eq!(moved(Some(2.0 * norm)).0, free);
    }
}
