//! Training steps by each objective against the authors' formulas in PyTorch, in f64: five attack steps from the same start,
//! the loss and its parts, what the step adds to every weight, the running statistics; with and without weights perturbed,
//! labels smoothed and gradients clipped, by BP and by LinBP; and the averages of the weights.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use runner::attacks::{Start, Steps, Threat};
use runner::data::Batch;
use runner::models::{Layers, LinbpUse, ModelConfig, build, linear_plan};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network, Param};
use runner::optim::{OptimizerKind, OptimizerSpec, optimizer};
use runner::train::adversarial::Adversarial;
use runner::train::clean::Clean;
use runner::train::mart::Mart;
use runner::train::trades::Trades;
use runner::train::{
    Adversary, Average, AverageKind, AverageSpec, Awp, EpochSums, Objective, RunningMetrics, Step,
    train_step,
};
use runner::weights::load_tensors;

use crate::pytorch::{interpreter, say};

const THREAT: Threat = Threat::linf(8.0 / 255.0);
const ARCH: &str = "wide_resnet10_1";
const N: usize = 4;
const AT: Coordinates = Coordinates {
    seed: 3,
    epoch: 1,
    batch: 0,
};

const OBJECTIVES: [(&str, &dyn Objective); 5] = [
    ("clean", &Clean {}),
    ("adversarial", &Adversarial { mix: 0.0 }),
    ("mix", &Adversarial { mix: 0.25 }),
    ("trades", &Trades { beta: 6.0 }),
    ("mart", &Mart { beta: 6.0 }),
];

/// What a step is made of beside its objective.
const RECIPES: [(&str, &[&str]); 5] = [
    ("plain", &[]),
    ("awp", &["awp"]),
    ("smooth", &["smooth"]),
    ("clip", &["clip", "no_decay"]),
    ("all", &["awp", "smooth", "clip", "no_decay"]),
];

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The largest difference, relative to the largest expected number.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-6f64, |max, v| max.max(v.abs()));
    let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max) / scale
}

fn batch() -> Batch {
    let pixels = (0..N * 3072).map(|i| (i * 7919 % 1009) as f64 / 1008.0);
    let pixels = Tensor::from_iter(pixels, &Device::Cpu).unwrap();
    Batch {
        images: pixels.reshape((N, 3, 32, 32)).unwrap(),
        label_values: vec![3, 1, 4, 1],
        indices: vec![11, 5, 8, 2],
        mixed: None,
    }
}

fn awp() -> Awp {
    Awp {
        gamma: 0.02,
        start: 0,
        layers: vec!["*".into()],
    }
}

fn average(kind: AverageKind, network: &Network) -> Average {
    let spec = AverageSpec {
        kind,
        decay: Some(0.999),
        warmup: true,
        start: None,
        every: 1,
    };
    Average::new(&spec, network).unwrap()
}

/// The mean loss of a step and of its parts.
fn train(
    network: &Network,
    batch: &Batch,
    objective: &dyn Objective,
    recipe: &[&str],
    plan: &BackwardPlan,
) -> BTreeMap<String, f64> {
    let has = |what: &str| recipe.contains(&what);
    let settings = OptimizerSpec {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-3,
        no_decay: has("no_decay"),
        clip_norm: has("clip").then_some(0.5),
        ..OptimizerSpec::new(OptimizerKind::Sgd)
    };
    let mut optimizer = optimizer(&settings, network.parameters()).unwrap();
    let attack = Box::new(Steps::pgd(THREAT, 2.0 / 255.0, 5));
    let adversary = Adversary::new(attack, plan.clone(), Mode::Eval);
    let awp = awp();
    let step = Step {
        adversary: Some(&adversary),
        awp: has("awp").then_some(&awp),
        smoothing: if has("smooth") { 0.1 } else { 0.0 },
        ..Step::new(network, plan, batch, AT)
    };
    let mut running = RunningMetrics::new(&EpochSums::default(), &Device::Cpu).unwrap();
    let loss = train_step(objective, &step, optimizer.as_mut(), 0.1, &mut running).unwrap();
    let (sums, bad) = running.read().unwrap();
    assert_eq!(bad, None);
    let parts = sums.parts.into_iter();
    let parts = parts.map(|(name, sum)| (name, sum / N as f64));
    let whole = ("loss".to_owned(), loss.expect("it is known on the CPU"));
    parts.chain([whole]).collect()
}

#[test]
fn steps_of_objectives_are_those_of_pytorch() {
    let Some(python) = interpreter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let batch = batch();
    let drawn = Start {
        seed: AT.seed,
        epoch: AT.epoch,
        ..Start::default()
    };
    let normal = THREAT.normal_start(&batch.images, &batch.indices, drawn, 0.001);
    let uniform = THREAT.random_start(&batch.images, &batch.indices, drawn);
    let labels = Tensor::new(batch.label_values.clone(), &Device::Cpu).unwrap();
    let question = HashMap::from([
        ("images", batch.images.clone()),
        ("normal", normal.unwrap()),
        ("uniform", uniform.unwrap()),
        ("labels", labels.to_dtype(DType::I64).unwrap()),
    ]);
    candle_core::safetensors::save(&question, folder.path().join("question.safetensors")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/objectives.py");
    let status = Command::new(python).arg(script).arg(folder.path()).status();
    assert!(status.unwrap().success(), "objectives.py failed");
    let read = |name: &str| load_tensors(&folder.path().join(name)).unwrap();
    let (reference, weights) = (read("reference.safetensors"), read("weights.pt"));

    let config = ModelConfig {
        dropout: Some(0.0),
        dtype: DType::F64,
        ..ModelConfig::new([3, 32, 32], 10)
    };
    let network = build(ARCH, &config).unwrap();
    let linear = linear_plan(ARCH, &network, &Layers::Default, LinbpUse::Train).unwrap();
    let snapshot = |param: &Param| param.snapshot().unwrap();
    let since = |now: &Tensor, before: &Tensor| (now - before).unwrap();
    let mut worst: f64 = 0.0;
    let mut compare = |name: &str, found: &Tensor| {
        let distance = distance(found, &reference[name]);
        assert!(distance < 1e-6, "{name}: {distance:.1e}");
        worst = worst.max(distance);
    };
    for (variant, plan) in [("bp", BackwardPlan::none()), ("linbp", linear)] {
        for (objective, minimised) in OBJECTIVES {
            for (recipe, parts) in RECIPES {
                network.load(&weights).unwrap();
                let before: Vec<Tensor> = network.tensors().map(snapshot).collect();
                let mut ema = average(AverageKind::Ema, &network);
                ema.step(&network, 0, false).unwrap();
                let found = train(&network, &batch, minimised, parts, &plan);
                ema.step(&network, 0, false).unwrap();
                let name = |part: &str| format!("{objective}.{recipe}.{variant}.{part}");
                for (part, mean) in found {
                    compare(&name(&part), &Tensor::new(mean, &Device::Cpu).unwrap());
                }
                let averaged = ema.tensors(&network).unwrap();
                for (param, before) in network.tensors().zip(&before) {
                    let own = param.name();
                    let moved = since(&averaged[own], before);
                    compare(&name(&format!("ema.{own}")), &moved);
                }
                for (param, before) in network.parameters().iter().zip(&before) {
                    let change = since(param.tensor(), before);
                    compare(&name(&format!("change.{}", param.name())), &change);
                }
                for buffer in network.buffers() {
                    compare(
                        &name(&format!("running.{}", buffer.name())),
                        buffer.tensor(),
                    );
                }
            }
        }
    }
    network.load(&weights).unwrap();
    let mut swa = average(AverageKind::Swa, &network);
    swa.step(&network, 0, true).unwrap();
    train(&network, &batch, &Clean {}, &[], &BackwardPlan::none());
    swa.step(&network, 1, true).unwrap();
    let part = |start, length| Ok(batch.images.narrow(0, start, length)?);
    let batches = [part(0, 1), part(1, N - 1)].into_iter();
    swa.measure_statistics(&network, AT, batches).unwrap();
    for (name, tensor) in swa.tensors(&network).unwrap() {
        compare(&format!("swa.{name}"), &tensor);
    }
    say(&format!(
        "objectives: the largest relative difference from PyTorch is {worst:.1e}"
    ));
}
