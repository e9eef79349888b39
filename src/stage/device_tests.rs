//! Whole networks on the host card: what training and attacks compute there is what they compute on the CPU.

use candle_core::{Device, Tensor};

use super::epoch_sums::{EpochSums, Sums};
use crate::attacks::{Norm, Start, Target, Threat};
use crate::models::{self, Layers, LinbpUse, ModelConfig};
use crate::nn::{Coordinates, LinearPlan, Network, Pass, Tape};
use crate::ops::card::host::{host, numbers, on_host, within};
use crate::ops::cross_entropy;
use crate::ops::precision::{self, Precision};
use crate::optim::{Adam, AdamConfig, Optimizer, Sgd, SgdConfig};

const THREAT: Threat = Threat {
    norm: Norm::Linf,
    epsilon: 0.1,
};
const N: usize = 4;

fn network(arch: &str) -> Network {
    let image = match arch {
        "lenet5" | "mlp" => [1, 28, 28],
        _ => [3, 32, 32],
    };
    let config = ModelConfig {
        seed: 5,
        ..ModelConfig::new(image, 10)
    };
    models::build(arch, &config).unwrap()
}

fn images(arch: &str) -> Tensor {
    let shape: &[usize] = match arch {
        "lenet5" | "mlp" => &[N, 1, 28, 28],
        _ => &[N, 3, 32, 32],
    };
    let values: Vec<f32> = numbers(shape, 3, 0.5).iter().map(|v| v + 0.5).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn optimizer(name: &str, network: &Network) -> Box<dyn Optimizer> {
    let parameters = network.parameters();
    match name {
        "sgd" => {
            let config = SgdConfig {
                momentum: 0.9,
                nesterov: true,
                weight_decay: 1e-3,
            };
            Box::new(Sgd::new(config, parameters).unwrap())
        }
        _ => {
            let config = AdamConfig {
                betas: [0.9, 0.999],
                eps: 1e-3,
                weight_decay: 1e-3,
                decoupled: true,
            };
            Box::new(Adam::new(config, parameters).unwrap())
        }
    }
}

/// Training steps, and the attack steps before each. In deep networks float32 itself leaves the sign of many gradients
/// open, which an attack step turns into whole pixels, and a second training step starts from weights that differ by as much
/// as the first one's roundings: there one step from random points must do.
fn steps_of(arch: &str) -> (u64, usize) {
    match arch {
        "lenet5" | "mlp" => (2, 2),
        _ => (1, 0),
    }
}

/// What adversarial training leaves: the last adversarial images, the sums, every tensor of the network.
fn trained(arch: &str, name: &str, linear: bool) -> (Tensor, Sums, Vec<(String, Tensor)>) {
    let (network, originals, labels) = (network(arch), images(arch), [3, 1, 4, 1]);
    let plan = match linear {
        true => models::linear_plan(arch, &network, &Layers::Default, LinbpUse::Train).unwrap(),
        false => LinearPlan::none(),
    };
    let mut optimizer = optimizer(name, &network);
    let mut sums = EpochSums::new(Sums::default(), &Device::Cpu).unwrap();
    let mut x = originals.clone();
    let (steps, k) = steps_of(arch);
    for step in 0..steps {
        let target = Target::new(&network, plan.clone());
        let start = Start {
            seed: 1,
            epoch: step,
            ..Start::default()
        };
        x = THREAT
            .random_start(&originals, &[9, 2, 7, 5], start)
            .unwrap();
        for _ in 0..k {
            let slope = |logits: &Tensor| cross_entropy::gradient(logits, &labels, 1.0);
            let gradient = target.input_gradient(&x, slope).unwrap();
            x = THREAT.step(&x, &originals, &gradient, 0.04).unwrap();
        }
        let checks = THREAT.check("pgd", &x, &originals).unwrap();
        checks.resolve().unwrap();
        let at = Coordinates {
            batch: step,
            ..Coordinates::default()
        };
        let tape = Tape::new(Pass::training(plan.clone(), at));
        let logits = network.forward(&tape, &tape.input(&x)).unwrap();
        let begin = sums.add(logits.tensor(), &labels, step + 1).unwrap();
        let gradients = tape.backward(&logits, begin.gradient).unwrap();
        optimizer.step(&gradients, 0.01).unwrap();
    }
    let (sums, bad) = sums.read().unwrap();
    assert_eq!(bad, None);
    (x, sums, network.state().unwrap().into_iter().collect())
}

fn length(t: &Tensor) -> f64 {
    let squares = t.sqr().unwrap().sum_all().unwrap();
    f64::from(squares.to_scalar::<f32>().unwrap()).sqrt()
}

/// The distance in l2, relative to the length of what is expected.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    length(&(found - expected).unwrap()) / length(expected)
}

fn agree(arch: &str, optimizer: &str, linear: bool) {
    let (x, sums, state) = trained(arch, optimizer, linear);
    on_host(|| {
        let (found_x, found_sums, found_state) =
            precision::with(Precision::F32, || trained(arch, optimizer, linear));
        // A sign that rounding turns moves a pixel by a whole step: few may.
        let differing = (&found_x - &x).unwrap().abs().unwrap().gt(1e-4).unwrap();
        let differing = differing
            .to_dtype(candle_core::DType::F32)
            .unwrap()
            .sum_all()
            .unwrap();
        let share = differing.to_scalar::<f32>().unwrap() / x.elem_count() as f32;
        assert!(share < 0.02, "{arch}: {share} of the pixels differ");
        assert!(
            (found_sums.loss - sums.loss).abs() < 2e-3 * sums.loss,
            "{arch}: {found_sums:?} {sums:?}"
        );
        assert_eq!(found_sums.examples, sums.examples);
        // What training has changed, in parameters and running statistics alike.
        let before = network(arch).state().unwrap();
        let change = |name: &str, after: &Tensor| (after - &before[name]).unwrap();
        let typical = |t: &Tensor| length(t) / (t.elem_count() as f64).sqrt();
        let changes = state
            .iter()
            .map(|(name, after)| typical(&change(name, after)));
        let largest = changes.fold(0.0, f64::max);
        for ((name, found), (_, expected)) in found_state.iter().zip(&state) {
            let [found, expected] = [found, expected].map(|after| change(name, after));
            let apart = typical(&(&found - &expected).unwrap());
            // A shift before a convolution and a batch norm changes nothing: its gradient is rounding and nothing else.
            let bound = 2e-2 * typical(&expected).max(1e-4 * largest);
            assert!(
                apart < bound,
                "{arch} {name}: {apart:.1e}, at most {bound:.1e} expected"
            );
        }
    });
}

#[test]
fn lenet5_trains_alike_by_sgd() {
    agree("lenet5", "sgd", false);
}

#[test]
fn an_mlp_trains_alike_by_adamw_and_linbp() {
    agree("mlp", "adamw", true);
}

#[test]
fn resnet18_trains_alike_by_linbp() {
    agree("resnet18", "sgd", true);
}

#[test]
fn mobilenet_v2_trains_alike() {
    agree("mobilenet_v2", "sgd", false);
}

#[test]
fn every_family_gives_the_logits_of_the_cpu() {
    for arch in [
        "lenet5",
        "mlp",
        "mobilenet_v2",
        "squeezenet",
        "vgg11_bn",
        "resnet18",
        "resnext50_32x4d",
        "densenet121",
        "wide_resnet10_1",
    ] {
        let (network, x) = (network(arch), images(arch));
        let expected = network.logits(&x).unwrap();
        on_host(|| {
            for (precision, bound) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.1)] {
                println!("{arch} {precision:?}");
                let found = precision::with(precision, || network.logits(&x).unwrap());
                within(&found, &expected, bound);
            }
        });
    }
    assert!(
        host().is_some() || std::env::var_os("CXX").is_none(),
        "CXX names no compiler"
    );
}

#[test]
fn gradients_of_images_are_those_of_the_cpu() {
    for (arch, layers) in [
        ("resnet18", Layers::Default),
        ("mobilenet_v2", Layers::All),
        ("densenet121", Layers::Default),
    ] {
        let (network, x) = (network(arch), images(arch));
        let plan = models::linear_plan(arch, &network, &layers, LinbpUse::Attack).unwrap();
        for plan in [LinearPlan::none(), plan] {
            let gradient = || {
                let target = Target::new(&network, plan.clone());
                target.cross_entropy_gradient(&x, &[3, 1, 4, 1]).unwrap()
            };
            let expected = gradient();
            on_host(|| {
                let found = distance(&precision::with(Precision::F32, gradient), &expected);
                println!("{arch}: {found:.1e}");
                assert!(found < 1e-3, "{arch}: {found}");
            });
        }
    }
}
