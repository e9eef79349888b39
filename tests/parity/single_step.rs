//! Updates by FGSM-RS, N-FGSM and free training against the authors' code in PyTorch, in f64: loss, every updated weight,
//! running statistics, and the perturbation that free training keeps; by BP, by LinBP, and by LinBP in the inner gradient alone.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use runner::attacks::n_fgsm::NFgsm;
use runner::attacks::{Attack, Start, Steps, Threat};
use runner::data::Batch;
use runner::models::{Layers, LinbpUse, ModelConfig, build, linear_plan};
use runner::nn::{BackwardPlan, Coordinates, Mode};
use runner::optim::{OptimizerKind, OptimizerSpec, Sgd};
use runner::train::adversarial::Adversarial;
use runner::train::free::Free;
use runner::train::{Adversary, EpochSums, Objective, RunningMetrics, Step, train_step};
use runner::weights::load_tensors;

use crate::pytorch::{interpreter, say};

const ARCH: &str = "wide_resnet10_1";
const EPSILON: f64 = 8.0 / 255.0;
const N: usize = 4;
/// Images of the second batch of free training, and updates on each batch.
const SMALLER: usize = 2;
const REPLAYS: usize = 3;
const AT: Coordinates = Coordinates {
    seed: 3,
    epoch: 1,
    batch: 0,
};

fn linf(epsilon: f64) -> Threat {
    Threat::linf(epsilon)
}

/// The largest difference, relative to the largest expected number.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let numbers = |t: &Tensor| -> Vec<f64> {
        let flat = t.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        flat.to_vec1().unwrap()
    };
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-6f64, |max, v| max.max(v.abs()));
    let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max) / scale
}

fn batch(n: usize) -> Batch {
    // Some pixels at the ends of their range, where clamping shows.
    let pixels = (0..N * 3072).map(|i| ((i * 7919 % 1009) as f64 / 900.0).min(1.0));
    let pixels = Tensor::from_iter(pixels, &Device::Cpu).unwrap();
    let pixels = pixels.reshape((N, 3, 32, 32)).unwrap();
    Batch {
        images: pixels.narrow(0, 0, n).unwrap(),
        label_values: [3, 1, 4, 1][..n].to_vec(),
        indices: [11, 5, 8, 2][..n].to_vec(),
        mixed: None,
    }
}

#[test]
fn updates_on_single_step_images_are_those_of_pytorch() {
    let Some(python) = interpreter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let all = batch(N);
    let drawn = Start {
        seed: AT.seed,
        epoch: AT.epoch,
        ..Start::default()
    };
    let start = |radius: f64| {
        let start = linf(radius).random_start(&all.images, &all.indices, drawn);
        start.unwrap()
    };
    let labels = Tensor::new(all.label_values.clone(), &Device::Cpu).unwrap();
    let question = HashMap::from([
        ("images", all.images.clone()),
        ("fgsm-rs.start", start(EPSILON)),
        ("n-fgsm.start", start(2.0 * EPSILON)),
        ("labels", labels.to_dtype(DType::I64).unwrap()),
    ]);
    candle_core::safetensors::save(&question, folder.path().join("question.safetensors")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/single_step.py");
    let status = Command::new(python).arg(script).arg(folder.path()).status();
    assert!(status.unwrap().success(), "single_step.py failed");
    let read = |name: &str| load_tensors(&folder.path().join(name)).unwrap();
    let reference = read("reference.safetensors");

    let config = ModelConfig {
        dropout: Some(0.0),
        dtype: DType::F64,
        ..ModelConfig::new([3, 32, 32], 10)
    };
    let network = build(ARCH, &config).unwrap();
    let plan = |r#use| linear_plan(ARCH, &network, &Layers::Default, r#use).unwrap();
    let (inner, outer) = (plan(LinbpUse::Attack), plan(LinbpUse::Train));
    let none = BackwardPlan::none;
    let whole: &[usize] = &[N];
    let free = Free { replays: REPLAYS };
    for name in ["fgsm-rs", "n-fgsm", "free"] {
        let (objective, sizes): (&dyn Objective, &[usize]) = match name {
            "free" => (&free, &[N, SMALLER]),
            _ => (&Adversarial { mix: 0.0 }, whole),
        };
        for (variant, inner, outer) in [
            ("bp", none(), none()),
            ("linbp", inner.clone(), outer.clone()),
            ("inner", inner.clone(), none()),
        ] {
            network.load(&read("weights.pt")).unwrap();
            let attack: Box<dyn Attack> = match name {
                "fgsm-rs" => Box::new(Steps::fgsm_rs(linf(EPSILON), 1.25)),
                "n-fgsm" => Box::new(NFgsm {
                    noise: 2.0 * EPSILON,
                    step_size: EPSILON,
                }),
                _ => Box::new(Steps::fgsm(linf(EPSILON))),
            };
            let adversary = Adversary::new(attack, inner, Mode::Train);
            let settings = OptimizerSpec {
                momentum: 0.9,
                weight_decay: 5e-4,
                ..OptimizerSpec::new(OptimizerKind::Sgd)
            };
            let mut optimizer = Sgd::new(&settings, network.parameters()).unwrap();
            let mut running = RunningMetrics::new(&EpochSums::default(), &Device::Cpu).unwrap();
            for &n in sizes {
                let batch = batch(n);
                for _ in 0..objective.updates() {
                    let step = Step {
                        adversary: Some(&adversary),
                        ..Step::new(&network, &outer, &batch, AT)
                    };
                    train_step(objective, &step, &mut optimizer, 0.05, &mut running).unwrap();
                }
            }
            let (sums, bad) = running.read().unwrap();
            assert_eq!(bad, None);
            let mean = sums.all.loss / sums.all.examples as f64;
            let mean = Tensor::new(mean, &Device::Cpu).unwrap();
            let mut found = vec![("loss".to_owned(), mean, 1e-6)];
            for (key, tensor) in network.state().unwrap() {
                found.push((format!("state.{key}"), tensor, 1e-5));
            }
            if let Some(kept) = adversary.kept() {
                found.push(("perturbation".to_owned(), kept, 1e-6));
            }
            assert_eq!(adversary.kept().is_some(), name == "free");
            let mut worst: f64 = 0.0;
            for (key, tensor, bound) in found {
                let distance = distance(&tensor, &reference[&format!("{name}.{variant}.{key}")]);
                assert!(distance < bound, "{name} {variant} {key}: {distance:.1e}");
                worst = worst.max(distance);
            }
            say(&format!(
                "{name} {variant}: the largest relative difference from PyTorch is {worst:.1e}"
            ));
        }
    }
}
