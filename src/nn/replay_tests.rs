use super::*;
use crate::attacks::{Objective, Victim};
use crate::models::{self, ModelConfig};
use crate::nn::{
    BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Linear, Module, Surrogate, Var,
    batch_norm2d, conv2d, dropout, linear, structure,
};
use crate::ops::card::host::{numbers, on_host};
use crate::ops::cross_entropy::Second;
use candle_core::{DType, Device};

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn images(seed: u64, n: usize) -> Tensor {
    let shape = [n, 1, 28, 28];
    Tensor::from_vec(numbers(&shape, seed, 1.0), &shape, &Device::Cpu).unwrap()
}

#[test]
fn a_replay_computes_what_the_pass_does() {
    on_host(|| {
        let network = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
        let all = vec![true; network.activations().len()];
        let linear = BackwardPlan::new(all);
        let smooth = linear.clone().with_surrogate(Surrogate::Silu);
        let plans = [
            BackwardPlan::none(),
            linear,
            smooth.with_softmax_pools(10.0),
        ];
        for round in 0..4u64 {
            let x = images(round, 3);
            let labels = [round as u32, 1, 9];
            let expected = network.function().logits(&x).unwrap();
            let found = logits(&network, &x).unwrap();
            assert_eq!(found.is_some(), round > 0);
            if let Some(found) = found {
                assert_eq!(flat(&found), flat(&expected));
            }
            for plan in &plans {
                let gradient = |loss| {
                    let found = ascent(&network, plan, &x, (loss, &labels, None)).unwrap();
                    found.map(|(gradient, logits)| (flat(&gradient), flat(&logits)))
                };
                let victim = Victim::new(&network, plan.clone());
                let pass = |objective: Objective| {
                    let of = |z: &Tensor| objective.evaluate(z, &labels, None);
                    let found = victim.gradient(&x, of).unwrap();
                    (flat(&found.gradient), flat(&found.logits))
                };
                let found = gradient(LogitLoss::CrossEntropy(1.0));
                assert_eq!(found.is_some(), round > 0);
                let (slope, logits) = pass(Objective::CrossEntropy);
                let negative: Vec<f32> = slope.iter().map(|g| -g).collect();
                assert!(found.is_none_or(|found| found == (slope, logits.clone())));
                let found = gradient(LogitLoss::CrossEntropy(-1.0));
                assert!(found.is_none_or(|found| found == (negative, logits)));
                let found = gradient(LogitLoss::Score(Score::Dlr));
                assert_eq!(found.is_some(), round > 0);
                assert!(found.is_none_or(|f| f == pass(Objective::Score(Score::Dlr))));
            }
            // The weights of later rounds are others.
            for param in network.parameters() {
                let moved = (param.tensor() * 0.9).unwrap();
                param.set(&moved).unwrap();
            }
        }
        let known = |network: &Network| {
            let at = Arc::as_ptr(network.function());
            PASSES.with_borrow(|passes| passes.get(&at).map_or(0, |passes| passes.known.len()))
        };
        assert_eq!(known(&network), 10);
        for n in 4..400 {
            logits(&network, &images(9, 3 * n)).unwrap();
        }
        assert_eq!(known(&network), MOST);
        let other = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
        drop(network);
        assert!(logits(&other, &images(1, 3)).unwrap().is_none());
        PASSES.with_borrow(|passes| assert_eq!(passes.len(), 1));
    });
}

#[test]
fn batches_that_shrink_share_recordings() {
    on_host(|| {
        let network = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
        let (plan, score) = (BackwardPlan::none(), Score::TargetedDlr);
        let mut in_steps = 0;
        for n in (1..=40).rev() {
            let x = images(n as u64, n);
            let labels: Vec<u32> = (0..n as u32).map(|i| i % 10).collect();
            let targets: Vec<u32> = labels.iter().map(|y| (y + 1) % 10).collect();
            let expected = Victim::new(&network, plan.clone())
                .gradient(&x, |z| {
                    Objective::Score(score).evaluate(z, &labels, Some(&targets))
                })
                .unwrap();
            let loss = (LogitLoss::Score(score), &labels[..], Some(&targets[..]));
            match ascent(&network, &plan, &x, loss).unwrap() {
                None => in_steps += 1,
                Some((gradient, logits)) => {
                    assert_eq!(flat(&gradient), flat(&expected.gradient), "{n}");
                    assert_eq!(flat(&logits), flat(&expected.logits), "{n}");
                }
            }
        }
        // 40, then one less than three quarters of that, and so on.
        assert_eq!(in_steps, 5);
    });
}

/// One of each layer that a training pass treats otherwise than an evaluation.
struct Small {
    conv: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
    linear: Linear,
}

impl Module for Small {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let x = self.norm.forward(tape, &self.conv.forward(tape, x)?)?;
        let x = self.dropout.forward(tape, &x)?;
        self.linear.forward(tape, &structure::flatten(tape, &x)?)
    }
}

fn small() -> Network {
    let define = |b: &Builder| -> Result<Box<dyn Module>> {
        let config = ConvConfig::same(3, 1, Init::TorchDefault);
        Ok(Box::new(Small {
            conv: conv2d(&b.pp("conv"), 2, 3, 3, config)?,
            norm: batch_norm2d(&b.pp("norm"), 3)?,
            dropout: dropout(&b.pp("dropout"), 0.3)?,
            linear: linear(&b.pp("linear"), 3 * 16, 4, Init::TorchDefault)?,
        }))
    };
    Network::build(1, DType::F32, &Device::Cpu, None, define).unwrap()
}

#[test]
fn a_recorded_training_is_the_training() {
    recorded_training(|labels| Targets::of(labels));
}

#[test]
fn a_recorded_training_on_mixed_and_smoothed_labels_is_the_training() {
    recorded_training(|labels| Targets {
        labels,
        second: Some(Second {
            labels: &[3, 2, 1, 0, 2],
            weights: &[0.0, 0.25, 0.5, 0.75, 1.0],
        }),
        smoothing: 0.1,
    });
}

fn recorded_training(targets: fn(&[u32]) -> Targets<'_>) {
    on_host(|| {
        let (recorded, plain) = (small(), small());
        for batch in 0..4 {
            let shape = [5, 2, 4, 4];
            let x = Tensor::from_vec(numbers(&shape, batch, 1.0), &shape, &Device::Cpu).unwrap();
            let (labels, plan) = ([0, 1, 2, 3, batch as u32], BackwardPlan::none());
            let at = Coordinates {
                seed: 3,
                epoch: 1,
                batch,
            };
            let tape = Tape::new(Pass::training(plan.clone(), at));
            let logits = plain.forward(&tape, &tape.input(&x)).unwrap();
            let targets = targets(&labels);
            let (losses, gradient) = cross_entropy::queue(logits.tensor(), targets, 0.2).unwrap();
            let gradients = tape.backward(&logits, gradient).unwrap();
            let found = training(&recorded, &plan, &x, targets, at).unwrap();
            assert_eq!(found.is_some(), batch > 0);
            if let Some(found) = found {
                assert_eq!(flat(&found.logits), flat(logits.tensor()));
                assert_eq!(found.losses.read().unwrap(), losses.read().unwrap());
                for param in plain.parameters() {
                    let of = |gradients: &Gradients| flat(gradients.parameter(param).unwrap());
                    assert_eq!(of(&found.gradients), of(&gradients), "{}", param.name());
                }
            } else {
                // Its first time the pass is the caller's to compute.
                let tape = Tape::new(Pass::training(plan, at));
                recorded.forward(&tape, &tape.input(&x)).unwrap();
            }
            let pairs = plain.buffers().iter().zip(recorded.buffers());
            pairs.for_each(|(a, b)| assert_eq!(flat(a.tensor()), flat(b.tensor())));
            // An evaluation in between sees the statistics as they are.
            for network in [&plain, &recorded] {
                let found = logits_of(network, &x);
                assert_eq!(found, flat(&network.function().logits(&x).unwrap()));
                for param in network.parameters() {
                    param.set(&(param.tensor() * 0.9).unwrap()).unwrap();
                }
            }
        }
    });
}

fn logits_of(network: &Network, x: &Tensor) -> Vec<f32> {
    flat(&network.logits(x).unwrap())
}
