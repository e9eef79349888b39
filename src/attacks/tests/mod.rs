//! Tests of all attacks: networks, examples and attacks that they share.

mod accounting;
mod every;
mod exact;
mod warnings;

use candle_core::{DType, Device, Tensor};
use rand::Rng;

use super::*;
use crate::models::{self, ModelConfig};
use crate::nn::{LinearPlan, Network};
use crate::ops::real::tensor;
use crate::rng::{Purpose, stream};

const IMAGE: [usize; 3] = [3, 10, 10];
const CLASSES: usize = 5;
const N: usize = 13;

fn network(arch: &str, widths: Option<Vec<usize>>) -> Network {
    let config = ModelConfig {
        image: IMAGE,
        classes: CLASSES,
        dropout: None,
        widths,
        activation: None,
        stem: None,
        normalize: None,
        seed: 3,
        device: Device::Cpu,
        dtype: DType::F32,
    };
    models::build(arch, &config).unwrap()
}

fn mlp() -> Network {
    network("mlp", Some(vec![24]))
}

fn images(n: usize) -> Tensor {
    let len = IMAGE.iter().product::<usize>();
    let mut rng = stream(5, Purpose::Generate, 0, 0, 0);
    // Some pixels at the ends of the range, where projections are easy to get wrong.
    let pixel = |_| (rng.random::<f32>() * 1.4 - 0.2).clamp(0.0, 1.0);
    tensor(
        (0..n * len).map(pixel).collect::<Vec<f32>>(),
        (n, 3, 10, 10),
    )
    .unwrap()
}

/// Examples that a network classifies correctly: their labels are its answers.
struct Set {
    images: Tensor,
    labels: Vec<u32>,
    indices: Vec<usize>,
}

impl Set {
    fn of(network: &Network, n: usize) -> Self {
        let images = images(n);
        let labels = predictions(&network.logits(&images).unwrap()).unwrap();
        Self {
            images,
            labels,
            indices: (0..n).map(|i| 100 + 7 * i).collect(),
        }
    }

    fn originals(&self) -> Originals<'_> {
        Originals {
            images: &self.images,
            labels: &self.labels,
            indices: &self.indices,
            start: Start {
                seed: 9,
                ..Start::default()
            },
        }
    }
}

fn values(images: &Tensor) -> Vec<f32> {
    images.flatten_all().unwrap().to_vec1().unwrap()
}

fn linf(epsilon: f64) -> Threat {
    Threat {
        norm: Norm::Linf,
        epsilon,
    }
}

fn l2(epsilon: f64) -> Threat {
    Threat {
        norm: Norm::L2,
        epsilon,
    }
}

/// Every attack, small.
fn all(threat: Threat) -> Vec<Box<dyn Attack>> {
    let (step_size, k, restarts) = (threat.epsilon / 3.0, 4, 1);
    let apgd = |name, loss, stop_at_success| Apgd {
        name,
        threat,
        k: 12,
        restarts,
        loss,
        stop_at_success,
    };
    let fab = |name, targets, stop_at_success| Fab {
        name,
        threat,
        k: 8,
        restarts,
        targets,
        stop_at_success,
    };
    let targeted = ApgdLoss::TargetedDlr { classes: 3 };
    vec![
        Box::new(Steps::fgsm(threat)),
        Box::new(Steps::i_fgsm(threat, step_size, k)),
        Box::new(Steps::mi_fgsm(threat, step_size, k, 0.9)),
        Box::new(Steps {
            restarts: 2,
            ..Steps::pgd(threat, step_size, k)
        }),
        Box::new(apgd("apgd-ce", ApgdLoss::CrossEntropy, false)),
        Box::new(apgd("apgd-dlr", ApgdLoss::Dlr, true)),
        Box::new(apgd("apgd-t", targeted, true)),
        Box::new(fab("fab", None, false)),
        Box::new(fab("fab-t", Some(3), true)),
        Box::new(Square {
            threat,
            queries: 40,
            restarts,
            schedule: Schedule::OfQueries,
        }),
    ]
}

/// The fates and images that a series of attacks ends with.
/// What an attack makes of a set, checked.
fn crafted(attack: &dyn Attack, target: &Target<'_>, set: &Set) -> Tensor {
    let (images, checks) = craft(attack, target, set.originals()).unwrap();
    checks.resolve().unwrap();
    images
}

fn run(
    network: &Network,
    set: &Set,
    attacks: &[Box<dyn Attack>],
    batch_size: usize,
) -> (Vec<Fate>, Vec<f32>) {
    let target = Target::new(network, LinearPlan::none());
    let mut campaign = Campaign::new(&target, set.originals(), batch_size).unwrap();
    let correct = campaign.correct();
    for attack in attacks {
        campaign.attack(attack.as_ref(), &correct).unwrap();
    }
    (campaign.fates().to_vec(), values(campaign.images()))
}
