//! TRADES (Zhang et al., arXiv 1901.08573): the cross-entropy on clean images and, `beta` times, how far the network's answer
//! to adversarial images is from its answer to the clean ones.
//!
//! `loss = CE(f(x), y) + beta KL(softmax f(x) || softmax f(x'))`, each the mean over the batch. `x'` ascends the divergence by
//! the steps of the stage's attack from `x + 0.001 N(0, 1)`, the network in evaluation mode. As in the authors' code
//! (github.com/yaodongyu/TRADES) gradients go through both answers, and batch norms take `x` and `x'` one after the other, each
//! with its own statistics. Otherwise than there, `x` is run once where they run it twice for the same answer, its dropout
//! masks are those of `x'`, and in l2 `x'` takes the attack's steps too.

use candle_core::{DType, Tensor};
use candle_nn::ops::softmax;

use super::divergence::divergence;
use super::{Evaluated, Objective, Step};
use crate::attacks::{Attack, Checks, Goal, Originals, Steps, Threat, Victim};
use crate::nn::Mode;
use crate::ops::cross_entropy;
use crate::ops::device::bring;
use crate::spec::range::Positive;
use crate::spec::section;
use crate::{Error, Result};

/// The deviation of the noise that the ascent starts from: at `x` itself the divergence has no gradient.
const NOISE: f64 = 0.001;

section! {
    /// Minimises the cross-entropy on clean images and the divergence of the answers to adversarial ones.
    Trades {
        /// The weight of the divergence, above 0; default 6, as in the paper for CIFAR-10.
        beta: f64 [as Positive, or 6.0],
    }
}

/// The attack's steps as those of `"trades"`.
fn steps(attack: &dyn Attack) -> Result<&Steps> {
    attack.steps().ok_or_else(|| {
        Error::spec(format!(
            "attack.kind: \"trades\" ascends by steps of one size, as pgd does, and \"{}\" has none",
            attack.name()
        ))
    })
}

impl Objective for Trades {
    fn attacks(&self) -> bool {
        true
    }

    fn check_attack(&self, attack: &dyn Attack, mode: Mode) -> Result<()> {
        if steps(attack)?.goal != Goal::Misclassify {
            return Err(Error::spec(
                "attack.target: \"trades\" leaves the answer to the clean image and aims at no class: \"none\"",
            ));
        }
        if mode != Mode::Eval {
            return Err(Error::spec(
                "attack.model_mode: \"trades\" makes its images in evaluation mode: \"eval\"",
            ));
        }
        Ok(())
    }

    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        let adversary = step.adversary()?;
        let ascent = Ascent(steps(adversary.attack.as_ref())?);
        adversary.craft(&ascent, step)
    }

    fn takes_mixed(&self) -> bool {
        true
    }

    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated> {
        let (clean_tape, clean) = step.forward(&step.batch.images)?;
        let (tape, robust) = step.forward(crafted)?;
        let share = 1.0 / step.batch.label_values.len().max(1) as f64;
        let (natural, gradient) = cross_entropy::queue(clean.tensor(), step.targets(), share)?;
        let divergence = divergence(clean.tensor(), robust.tensor())?;
        let weighted = |gradient: &Tensor| gradient * (self.beta * share);
        // The tape of the adversarial images first: what it held is free for the other.
        let of_robust = weighted(&divergence.robust)?.to_dtype(gradient.dtype())?;
        let of_robust = tape.backward(&robust, of_robust)?;
        let of_clean = (gradient.to_dtype(DType::F64)? + weighted(&divergence.clean)?)?;
        let of_clean = clean_tape.backward(&clean, of_clean.to_dtype(gradient.dtype())?)?;
        Ok(Evaluated {
            gradients: of_clean.plus(of_robust)?,
            logits: robust.tensor().clone(),
            parts: vec![
                ("natural", natural.sum()?),
                ("robust", divergence.values.sum_all()?),
            ],
            losses: natural.plus(&(divergence.values * self.beta)?)?,
            checks: Checks::default(),
        })
    }
}

/// The inner maximisation: an attack's steps up the divergence.
struct Ascent<'a>(&'a Steps);

impl Attack for Ascent<'_> {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn threat(&self) -> Threat {
        self.0.threat
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let images = bring(originals.images, victim.network.device())?;
        let answer = |logits: &Tensor| softmax(&logits.to_dtype(DType::F64)?, 1);
        let clean = answer(&victim.logits(&images)?)?;
        let Originals { indices, start, .. } = originals;
        let start = self.threat().normal_start(&images, indices, start, NOISE)?;
        let originals = Originals {
            images: &images,
            ..originals
        };
        self.0.ascend(victim, originals, start, |logits| {
            Ok((answer(logits)? - &clean)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::attacks::Start;
    use crate::data::{Batch, Mixed};
    use crate::models::{self, ModelConfig};
    use crate::nn::{BackwardPlan, Coordinates, Network};
    use crate::train::Adversary;

    const THREAT: Threat = Threat::linf(0.1);

    fn network() -> Network {
        let config = ModelConfig {
            seed: 2,
            dtype: DType::F64,
            ..ModelConfig::new([1, 28, 28], 10)
        };
        models::build("lenet5", &config).unwrap()
    }

    fn batch() -> Batch {
        let pixels = (0..3 * 784).map(|i| f64::from(i * 37 % 101) / 100.0);
        Batch {
            images: Tensor::from_iter(pixels, &Device::Cpu)
                .unwrap()
                .reshape((3, 1, 28, 28))
                .unwrap(),
            label_values: vec![3, 0, 9],
            indices: vec![5, 1, 8],
            mixed: None,
        }
    }

    fn losses(found: &Evaluated) -> Vec<f64> {
        found.losses.clone().read().unwrap()
    }

    #[test]
    fn gradients_of_the_weights_are_those_of_the_loss() {
        check_gradients(&batch());
    }

    #[test]
    fn gradients_are_those_of_the_loss_of_mixed_images() {
        let mixed = Mixed {
            others: vec![1, 0, 4],
            weights: vec![0.5, 0.0, 0.3],
        };
        check_gradients(&Batch {
            mixed: Some(mixed),
            ..batch()
        });
    }

    fn check_gradients(batch: &Batch) {
        let network = network();
        let plan = BackwardPlan::none();
        let threat = Threat {
            epsilon: 0.5,
            ..THREAT
        };
        // One long step along signs: the images stay where they are while a weight moves by next to nothing.
        let attack = Box::new(Steps::pgd(threat, 0.5, 1));
        let adversary = Adversary::new(attack, BackwardPlan::none(), Mode::Eval);
        let step = Step {
            adversary: Some(&adversary),
            ..Step::new(&network, &plan, batch, Coordinates::default())
        };
        // The answers of random weights hardly differ: a large weight lets that count.
        let objective = Trades { beta: 1e3 };
        let found = objective.evaluate(&step).unwrap();
        let mean = || {
            let losses = losses(&objective.evaluate(&step).unwrap());
            losses.iter().sum::<f64>() / losses.len() as f64
        };
        let robust: f64 = found.parts[1].1.to_scalar().unwrap();
        assert!(1e3 * robust > 0.01, "{robust}: it has to count");
        for param in network.parameters() {
            let gradient = found
                .gradients
                .parameter(param)
                .unwrap()
                .flatten_all()
                .unwrap();
            let gradient = gradient.to_vec1::<f64>().unwrap();
            let original = param.snapshot().unwrap();
            let values = original.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for at in [0, values.len() / 2, values.len() - 1] {
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values[at] += by;
                    let shape = original.shape();
                    param
                        .set(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
                        .unwrap();
                    mean()
                };
                let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                param.set(&original).unwrap();
                let close = (gradient[at] - expected).abs() < 1e-6 * (1.0 + expected.abs());
                assert!(
                    close,
                    "{} [{at}]: {} {expected}",
                    param.name(),
                    gradient[at]
                );
            }
        }
    }

    #[test]
    fn the_ascent_raises_the_divergence_inside_the_ball() {
        let (network, batch) = (network(), batch());
        let clean = network.logits(&batch.images).unwrap();
        let reached = |k: usize| {
            let steps = Steps::pgd(THREAT, 0.02, k);
            let originals = Originals::new(
                &batch.images,
                &batch.label_values,
                &batch.indices,
                Start::default(),
            );
            let victim = Victim::new(&network, BackwardPlan::none());
            let (images, checks) =
                crate::attacks::craft(&Ascent(&steps), &victim, originals).unwrap();
            checks.resolve().unwrap();
            let robust = network.logits(&images).unwrap();
            let values = divergence(&clean, &robust).unwrap().values;
            values.to_vec1::<f64>().unwrap()
        };
        let (start, end) = (reached(0), reached(5));
        assert!(start.iter().all(|&value| value > 0.0), "{start:?}");
        let rises = start
            .iter()
            .zip(&end)
            .all(|(start, end)| *end > 10.0 * start);
        assert!(rises, "{start:?} {end:?}");
    }
}
