//! Training steps by TRADES and MART against the authors' formulas in PyTorch, in f64: five attack steps from the same start,
//! the loss's parts, the gradients of the weights, the running statistics.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use runner::attacks::{Norm, Start, Steps, Threat};
use runner::data::Batch;
use runner::models::{ModelConfig, build};
use runner::nn::{Coordinates, LinearPlan, Mode};
use runner::train::mart::Mart;
use runner::train::trades::Trades;
use runner::train::{Adversary, Objective, Step};
use runner::weights::load_tensors;

use crate::pytorch::{interpreter, say};

const THREAT: Threat = Threat {
    norm: Norm::Linf,
    epsilon: 8.0 / 255.0,
};
const N: usize = 4;
const AT: Coordinates = Coordinates {
    seed: 3,
    epoch: 1,
    batch: 0,
};

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

#[test]
fn steps_of_objectives_are_those_of_pytorch() {
    let Some(python) = interpreter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let pixels = (0..N * 3072).map(|i| (i * 7919 % 1009) as f64 / 1008.0);
    let pixels = Tensor::from_iter(pixels, &Device::Cpu).unwrap();
    let batch = Batch {
        images: pixels.reshape((N, 3, 32, 32)).unwrap(),
        label_values: vec![3, 1, 4, 1],
        indices: vec![11, 5, 8, 2],
        mixed: None,
    };
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
        ("trades.start", normal.unwrap()),
        ("mart.start", uniform.unwrap()),
        ("labels", labels.to_dtype(DType::I64).unwrap()),
    ]);
    candle_core::safetensors::save(&question, folder.path().join("question.safetensors")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/objectives.py");
    let status = Command::new(python).arg(script).arg(folder.path()).status();
    assert!(status.unwrap().success(), "objectives.py failed");
    let read = |name: &str| load_tensors(&folder.path().join(name)).unwrap();
    let reference = read("reference.safetensors");

    let config = ModelConfig {
        dropout: Some(0.0),
        dtype: DType::F64,
        ..ModelConfig::new([3, 32, 32], 10)
    };
    let network = build("wide_resnet10_1", &config).unwrap();
    let plan = LinearPlan::none();
    let adversary = Adversary {
        attack: Box::new(Steps::pgd(THREAT, 2.0 / 255.0, 5)),
        plan: LinearPlan::none(),
        mode: Mode::Eval,
    };
    let step = Step {
        adversary: Some(&adversary),
        ..Step::new(&network, &plan, &batch, AT)
    };
    let objectives: [(&str, &dyn Objective); 2] = [
        ("trades", &Trades { beta: 6.0 }),
        ("mart", &Mart { beta: 6.0 }),
    ];
    for (objective, evaluated) in objectives {
        network.load(&read("weights.pt")).unwrap();
        let found = evaluated.evaluate(&step).unwrap();
        let mut worst: f64 = 0.0;
        let mut compare = |name: &str, found: &Tensor| {
            let distance = distance(found, &reference[&format!("{objective}.{name}")]);
            assert!(distance < 1e-6, "{objective} {name}: {distance:.1e}");
            worst = worst.max(distance);
        };
        for (name, sum) in &found.parts {
            compare(name, &(sum / N as f64).unwrap());
        }
        for param in network.parameters() {
            let gradient = found.gradients.parameter(param);
            let gradient = gradient.expect("every weight has one");
            compare(&format!("gradient.{}", param.name()), gradient);
        }
        for buffer in network.buffers() {
            compare(&format!("running.{}", buffer.name()), buffer.tensor());
        }
        say(&format!(
            "{objective}: the largest relative difference from PyTorch is {worst:.1e}"
        ));
    }
}
