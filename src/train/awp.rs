//! Adversarial weight perturbation (Wu, Xia and Wang, NeurIPS 2020, arXiv 2004.05884): the gradients of a step are taken
//! where the weights are worst for its images, in a small neighbourhood of where they are.
//!
//! As in the authors' code (github.com/csdongxian/AWP), with an objective's images made at the weights `w` as they are: one
//! ascent step of its loss gives `v = gamma |w| / |g| g` for each tensor of weights, `g` the gradient of the loss; the
//! objective's gradients are taken at `w + v`, from where the optimizer makes its step, and `v` is taken off again.
//! Otherwise than there, dropout drops the same in the ascent as in the step. What the ascent does to running statistics is
//! undone, as there.

use candle_core::Tensor;
use globset::{Glob, GlobMatcher};

use super::{Objective, Step};
use crate::nn::{Network, Param};
use crate::ops::length;
use crate::spec::Fields;
use crate::spec::range::{Positive, Whole};
use crate::spec::section;
use crate::{Error, Result};

/// Added to the length of a gradient, as the authors do.
const EPS: f64 = 1e-20;

section! {
    /// Adversarial weight perturbation.
    Awp {
        /// How far each tensor of weights is moved, as a share of its l2 norm, above 0: 0.005 in the paper, 0.01 in the
        /// authors' adversarial training of a PreActResNet-18; required.
        gamma: f64 [required as Positive],
        /// Epochs before the first one with perturbations; default 0.
        start: usize [as Whole, or 0] smoke 0,
        /// Globs over the names of the tensors of weights that are moved, such as ["layer4.*"]; default ["*"].
        layers: Vec<String> [by read_layers, or all()],
    }
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

fn read_layers(fields: &mut Fields, key: &'static str) -> Option<Vec<String>> {
    let layers = fields.optional::<Vec<String>>(key)?;
    let layers = layers.unwrap_or_else(all);
    let bad = layers.iter().find(|glob| Glob::new(glob).is_err());
    if layers.is_empty() || bad.is_some() {
        fields.fault(key, "expected a list of globs, such as [\"layer4.*\"]");
        return None;
    }
    Some(layers)
}

/// Weights that were moved, and by how much.
pub(super) struct Perturbation(Vec<(Param, Tensor)>);

impl Awp {
    /// The tensors that it moves: weights, which have more than one dimension, that one of the globs matches.
    ///
    /// # Errors
    /// A glob that matches none of them.
    pub fn weights(&self, network: &Network) -> Result<Vec<Param>> {
        let all = network.parameters().iter();
        let all: Vec<&Param> = all.filter(|param| param.tensor().rank() > 1).collect();
        let globs = self
            .layers
            .iter()
            .map(|glob| Ok(Glob::new(glob)?.compile_matcher()));
        let globs: Vec<GlobMatcher> = globs
            .collect::<Result<_, globset::Error>>()
            .map_err(|error| Error::spec(format!("train.awp.layers: {error}")))?;
        let mut idle = globs
            .iter()
            .filter(|glob| !all.iter().any(|p| glob.is_match(p.name())));
        if let Some(glob) = idle.next() {
            let names: Vec<&str> = all.iter().map(|param| param.name()).take(3).collect();
            return Err(Error::spec(format!(
                "train.awp.layers: \"{}\" matches no tensor of weights; the first are {}",
                glob.glob(),
                names.join(", ")
            )));
        }
        let chosen = |param: &&Param| globs.iter().any(|glob| glob.is_match(param.name()));
        Ok(all.into_iter().filter(chosen).cloned().collect())
    }

    /// Moves the weights up the loss of an objective on a step's images.
    pub(super) fn perturb(
        &self,
        objective: &dyn Objective,
        step: &Step<'_>,
        crafted: &Tensor,
    ) -> Result<Perturbation> {
        let buffers = step.network.buffers();
        let before = buffers.iter().map(Param::snapshot);
        let before: Vec<Tensor> = before.collect::<Result<_>>()?;
        let found = objective.loss(step, crafted)?;
        for (buffer, values) in buffers.iter().zip(&before) {
            buffer.set(values)?;
        }
        let mut moved = Vec::new();
        for weight in self.weights(step.network)? {
            let Some(gradient) = found.gradients.parameter(&weight) else {
                continue;
            };
            let [own, slope] = [weight.tensor(), gradient].map(length::squared);
            let factor = (own?.sqrt()? / (slope?.sqrt()? + EPS)?)?;
            let factor = (factor * self.gamma)?.to_dtype(gradient.dtype())?;
            let by = gradient.broadcast_mul(&factor)?;
            moved.push((weight, by));
        }
        for (weight, by) in &moved {
            weight.add(by)?;
        }
        Ok(Perturbation(moved))
    }
}

impl Perturbation {
    /// Takes it off again, from weights that a step may have moved meanwhile.
    pub fn take_off(self) -> Result<()> {
        for (weight, by) in &self.0 {
            weight.add(&by.neg()?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::data::Batch;
    use crate::models::{self, ModelConfig};
    use crate::nn::{BackwardPlan, Coordinates};
    use crate::train::clean::Clean;

    fn network() -> Network {
        let config = ModelConfig {
            seed: 4,
            dtype: DType::F64,
            ..ModelConfig::new([3, 32, 32], 10)
        };
        models::build("wide_resnet10_1", &config).unwrap()
    }

    fn awp(layers: &str) -> Awp {
        Awp {
            gamma: 0.01,
            start: 0,
            layers: vec![layers.to_owned()],
        }
    }

    fn length(tensor: &Tensor) -> f64 {
        let squares = length::squared(tensor).unwrap();
        squares.to_scalar::<f64>().unwrap().sqrt()
    }

    #[test]
    fn weights_move_up_the_loss_by_their_share_and_come_back() {
        let network = network();
        let pixels = (0..2 * 3072).map(|i| f64::from(i * 37 % 101) / 100.0);
        let batch = Batch {
            images: Tensor::from_iter(pixels, &Device::Cpu)
                .unwrap()
                .reshape((2, 3, 32, 32))
                .unwrap(),
            label_values: vec![3, 8],
            indices: vec![0, 1],
            mixed: None,
        };
        let plan = BackwardPlan::none();
        let step = Step::new(&network, &plan, &batch, Coordinates::default());
        let crafted = Clean {}.craft(&step).unwrap().0;
        let loss = || {
            let found = Clean {}.loss(&step, &crafted).unwrap();
            found.losses.known_mean().unwrap()
        };
        let before = loss();
        let state = network.state().unwrap();
        for layers in ["*", "block2.*"] {
            let perturbation = awp(layers).perturb(&Clean {}, &step, &crafted).unwrap();
            let mut moved = 0;
            for param in network.tensors() {
                let own = &state[param.name()];
                let by = length(&(param.tensor() - own).unwrap());
                let expected = match own.rank() > 1
                    && (layers == "*" || param.name().starts_with("block2."))
                {
                    true => 0.01 * length(own),
                    false => 0.0,
                };
                assert!((by - expected).abs() < 1e-12, "{}: {by}", param.name());
                moved += usize::from(by > 0.0);
            }
            assert!(moved > 2, "{layers}: {moved}");
            let statistics = network.buffers().iter().map(Param::snapshot);
            let statistics: Vec<Tensor> = statistics.collect::<Result<_>>().unwrap();
            assert!(loss() > before, "{layers}");
            for (buffer, values) in network.buffers().iter().zip(&statistics) {
                buffer.set(values).unwrap();
            }
            perturbation.take_off().unwrap();
            for param in network.tensors() {
                let by = length(&(param.tensor() - &state[param.name()]).unwrap());
                assert!(by < 1e-12, "{}: {by}", param.name());
            }
            network.load(&state).unwrap();
        }
    }

    #[test]
    fn a_glob_that_matches_no_weights_is_refused() {
        let network = network();
        assert_eq!(awp("conv1.*").weights(&network).unwrap().len(), 1);
        // A tensor of one dimension is none of weights.
        for layers in ["conv9.*", "*.bias"] {
            let error = awp(layers).weights(&network).unwrap_err().to_string();
            assert!(
                error.contains(&format!("train.awp.layers: \"{layers}\" matches no")),
                "{error}"
            );
        }
    }
}
