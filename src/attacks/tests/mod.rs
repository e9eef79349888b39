//! Tests of all attacks: networks, examples and attacks that they share.

mod accounting;
mod counting;
mod ensembles;
mod every;
mod exact;
mod features;
mod leaving;
mod on_a_card;
mod proven;
mod settings;
mod transferable;
mod warnings;

use candle_core::{DType, Device, Tensor};
use rand::Rng;

use super::settings as attack_settings;
use super::*;
use crate::experiment::plan;
use crate::models::{self, ModelConfig};
use crate::nn::{BackwardPlan, Network};
use crate::ops::real::tensor;
use crate::rng::{Purpose, stream};
use crate::spec::Request;

const IMAGE: [usize; 3] = [3, 10, 10];
const CLASSES: usize = 5;
const N: usize = 13;

fn network(arch: &str, widths: Option<Vec<usize>>) -> Network {
    seeded(arch, widths, 3)
}

/// A network with the random weights of a seed.
fn seeded(arch: &str, widths: Option<Vec<usize>>, seed: u64) -> Network {
    let config = ModelConfig {
        image: IMAGE,
        classes: CLASSES,
        dropout: None,
        widths,
        layers: None,
        activation: None,
        stem: None,
        normalize: None,
        seed,
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

    /// Whether the attack can do something with these images: admix takes several classes.
    fn suits(&self, attack: &dyn Attack) -> bool {
        attack.name() != "admix" || self.labels.iter().any(|label| *label != self.labels[0])
    }

    fn originals(&self) -> Originals<'_> {
        let start = Start {
            seed: 9,
            ..Start::default()
        };
        Originals::new(&self.images, &self.labels, &self.indices, start)
    }
}

fn values(images: &Tensor) -> Vec<f32> {
    images.flatten_all().unwrap().to_vec1().unwrap()
}

/// The attack of the section `[attack]` with these lines.
fn entry(lines: &str) -> Entry {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    let text = format!(
        "task = \"attack\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\n[attack]\nepsilon = 0.1\n{lines}\n"
    );
    std::fs::write(&spec, text).unwrap();
    let plan = plan(&Request {
        spec,
        ..Request::default()
    });
    let plan = plan.unwrap_or_else(|error| panic!("{error}"));
    plan.runs[0].spec.stages[0].task.attacks().remove(0)
}

/// Every attack of the list that stays in its ball, small, and ensembles of them as their members.
fn all(threat: Threat) -> Vec<Box<dyn Attack>> {
    let making = attack_settings::Making {
        threat,
        classes: CLASSES,
        name: None,
        in_ensemble: false,
    };
    let small = [
        ("step_size", (threat.epsilon / 3.0).max(1e-6)),
        ("n_target_classes", 3.0),
        ("n_queries", 40.0),
        ("first_step_size", 3.0),
        ("restarts", 2.0),
    ];
    // The presets of i-fgsm are as different from each other as attacks are.
    let names = AttackName::all()
        .iter()
        .filter_map(|name| AttackName::find(name));
    let judging = names.filter(|named| {
        let is_own = named.preset.is_none() || named.kind == AttackKind::IFgsm;
        is_own && named.kind.description().is_for_evaluation
    });
    let attacks = judging.flat_map(|named| {
        let mut lines = format!("kind = \"{named}\"\n");
        let attack = named.kind.description();
        let has = |key: &str| match attack.members {
            Some(_) => ["k", "n_target_classes", "n_queries"].contains(&key),
            // Restarts of most attacks only repeat what one try shows.
            None => attack.has(key) && (key != "restarts" || named.kind == AttackKind::Pgd),
        };
        for (key, value) in small.iter().filter(|(key, _)| has(key)) {
            lines += &format!("{key} = {value}\n");
        }
        if has("k") {
            lines += if has("step_size") {
                "k = 4\n"
            } else {
                "k = 12\n"
            };
        }
        let making = attack_settings::Making {
            name: Some(named.name()),
            ..making
        };
        entry(&lines).attacks(&making).unwrap()
    });
    attacks.collect()
}

/// What an attack makes of a set, checked.
fn crafted(attack: &dyn Attack, victim: &Victim<'_>, set: &Set) -> Tensor {
    let (images, checks) = craft(attack, victim, set.originals()).unwrap();
    checks.resolve().unwrap();
    images
}

/// The fates and images that a series of attacks ends with.
fn run(
    network: &Network,
    set: &Set,
    attacks: &[Box<dyn Attack>],
    batch_size: usize,
) -> (Vec<Fate>, Vec<f32>) {
    let victim = Victim::new(network, BackwardPlan::none());
    let mut evaluation = AttackEvaluation::new(&victim, set.originals(), batch_size).unwrap();
    let correct = evaluation.correct();
    for attack in attacks {
        evaluation.attack(attack.as_ref(), &correct).unwrap();
    }
    (evaluation.fates().to_vec(), values(evaluation.images()))
}
