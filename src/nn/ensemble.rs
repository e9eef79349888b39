//! The mean of several networks as a network: what deceives it deceives them together.

use std::sync::Arc;

use super::arithmetic::sum;
use super::network::{Function, Module, Network};
use super::structure::add;
use super::tape::{Tape, Var};
use crate::{Error, Result};

/// The mean logits of networks, whose activations are numbered one network after the other.
struct Mean {
    /// The networks, each with the number of its first activation.
    members: Vec<(Arc<Function>, usize)>,
}

impl Module for Mean {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut total: Option<Var> = None;
        for (member, first) in &self.members {
            let logits = tape.numbered_from(*first, || member.forward(tape, x))?;
            total = Some(match total {
                Some(total) => add(tape, &total, &logits)?,
                None => logits,
            });
        }
        let total = total.ok_or_else(|| Error::failed("an ensemble has no network"))?;
        sum(tape, &total, &[], 1.0 / self.members.len() as f64)
    }
}

impl Network {
    /// The network whose logits are the mean of those of `members` (Dong et al., arXiv 1710.06081, "ensemble in logits"), which
    /// share their weights with it. All lie on one device and tell the same classes apart. Its activations are those of the members,
    /// one after another, each behind its member's name and a dot.
    pub fn mean(members: &[(&str, &Self)]) -> Result<Self> {
        let (_, first) = members
            .first()
            .ok_or_else(|| Error::failed("an ensemble has no network"))?;
        let mut all = Vec::new();
        let mut activations: Vec<String> = Vec::new();
        for (name, network) in members {
            all.push((Arc::clone(network.function()), activations.len()));
            let own = network.activations().iter();
            activations.extend(own.map(|activation| format!("{name}.{activation}")));
        }
        let max_pool = members.iter().any(|(_, network)| network.has_max_pool());
        let mean = Box::new(Mean { members: all });
        Ok(Self::of(
            mean,
            activations,
            max_pool,
            first.device().clone(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Tensor};

    use crate::attacks::Victim;
    use crate::models::{ModelConfig, build};
    use crate::nn::{BackwardPlan, Network};

    fn member(arch: &str, seed: u64) -> Network {
        let config = ModelConfig {
            seed,
            dtype: DType::F64,
            ..ModelConfig::new([3, 32, 32], 10)
        };
        build(arch, &config).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn logits_and_gradients_are_means() {
        let networks = [member("resnet20", 1), member("wide_resnet10_1", 2)];
        let mean = Network::mean(&[("a", &networks[0]), ("b", &networks[1])]).unwrap();
        let names = mean.activations();
        let count = networks[0].activations().len();
        assert_eq!(names[0], format!("a.{}", networks[0].activations()[0]));
        assert_eq!(names[count], format!("b.{}", networks[1].activations()[0]));

        let x = member("resnet20", 3)
            .tensors()
            .next()
            .unwrap()
            .tensor()
            .flatten_all()
            .unwrap();
        let x = Tensor::cat(&[&x; 20], 0)
            .unwrap()
            .narrow(0, 0, 2 * 3072)
            .unwrap();
        let x = x.affine(0.5, 0.5).unwrap().reshape((2, 3, 32, 32)).unwrap();
        let half = |a: &Tensor, b: &Tensor| values(&((a + b).unwrap() * 0.5).unwrap());
        let logits = networks
            .each_ref()
            .map(|network| network.logits(&x).unwrap());
        let found = values(&mean.logits(&x).unwrap());
        for (found, expected) in found.iter().zip(half(&logits[0], &logits[1])) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // Linear activations are those of the numbers of each member, and of no other.
        let linear = |network: &Network, which: usize| {
            let of = |i: usize| (i + which).is_multiple_of(3);
            (0..network.activations().len())
                .map(of)
                .collect::<Vec<bool>>()
        };
        let plans = [linear(&networks[0], 0), linear(&networks[1], 1)];
        let gradient = |network: &Network, plan: Vec<bool>| {
            let victim = Victim::new(network, BackwardPlan::new(plan));
            let ones = |logits: &Tensor| Ok(logits.ones_like()?);
            victim.input_gradient(&x, ones).unwrap()
        };
        let own = [0, 1].map(|i| gradient(&networks[i], plans[i].clone()));
        let found = values(&gradient(&mean, plans.concat()));
        for (found, expected) in found.iter().zip(half(&own[0], &own[1])) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
