//! Whole networks on the host card: what training and attacks compute there is what they compute on the CPU.

use candle_core::{Device, Tensor};

use super::adversarial::Adversarial;
use super::batch_size::too_large;
use super::clean::Clean;
use super::trades::Trades;
use super::{Adversary, EpochSums, Objective, RunningMetrics, Step, train_step};
use crate::Error;
use crate::attacks::{Steps, Threat, Victim};
use crate::data::Batch;
use crate::models::{self, Layers, LinbpUse, ModelConfig};
use crate::nn::{BackwardPlan, Coordinates, Mode, Network};
use crate::ops::card::host::{host, numbers, on_host, with_room, within};
use crate::ops::precision::{self, Precision};
use crate::ops::running_sums::Sums;
use crate::optim::{Adam, Optimizer, OptimizerKind, OptimizerSpec, Sgd};

const THREAT: Threat = Threat::linf(0.1);
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

fn images(arch: &str, n: usize) -> Tensor {
    let shape: &[usize] = match arch {
        "lenet5" | "mlp" => &[n, 1, 28, 28],
        _ => &[n, 3, 32, 32],
    };
    let values: Vec<f32> = numbers(shape, 3, 0.5).iter().map(|v| v + 0.5).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn pgd(step_size: f64, k: usize, plan: BackwardPlan) -> Adversary {
    Adversary::new(Box::new(Steps::pgd(THREAT, step_size, k)), plan, Mode::Eval)
}

fn optimizer(name: &str, network: &Network) -> Box<dyn Optimizer> {
    let parameters = network.parameters();
    match name {
        "sgd" => {
            let config = OptimizerSpec {
                momentum: 0.9,
                nesterov: true,
                weight_decay: 1e-3,
                ..OptimizerSpec::new(OptimizerKind::Sgd)
            };
            Box::new(Sgd::new(&config, parameters).unwrap())
        }
        _ => {
            let config = OptimizerSpec {
                betas: [0.9, 0.999],
                eps: 1e-3,
                weight_decay: 1e-3,
                ..OptimizerSpec::new(OptimizerKind::Adamw)
            };
            Box::new(Adam::new(&config, parameters).unwrap())
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
fn trained(
    objective: &dyn Objective,
    arch: &str,
    name: &str,
    linear: bool,
) -> (Tensor, Sums, Vec<(String, Tensor)>) {
    let network = network(arch);
    let plan = match linear {
        true => models::linear_plan(arch, &network, &Layers::Default, LinbpUse::Train).unwrap(),
        false => BackwardPlan::none(),
    };
    let (steps, k) = steps_of(arch);
    let adversary = pgd(0.04, k, plan.clone());
    let batch = Batch {
        images: images(arch, N),
        label_values: vec![3, 1, 4, 1],
        indices: vec![9, 2, 7, 5],
        mixed: None,
    };
    let mut optimizer = optimizer(name, &network);
    let mut running = RunningMetrics::new(&EpochSums::default(), &Device::Cpu).unwrap();
    let mut crafted = batch.images.clone();
    for number in 0..steps {
        let at = Coordinates {
            seed: 1,
            epoch: number,
            batch: number,
        };
        let step = Step {
            adversary: Some(&adversary),
            ..Step::new(&network, &plan, &batch, at)
        };
        let (images, checks) = adversary.craft(adversary.attack.as_ref(), &step).unwrap();
        checks.resolve().unwrap();
        crafted = images;
        train_step(objective, &step, optimizer.as_mut(), 0.01, &mut running).unwrap();
    }
    let (sums, bad) = running.read().unwrap();
    assert_eq!(bad, None);
    (
        crafted,
        sums.all,
        network.state().unwrap().into_iter().collect(),
    )
}

fn length(t: &Tensor) -> f64 {
    let squares = t.sqr().unwrap().sum_all().unwrap();
    f64::from(squares.to_scalar::<f32>().unwrap()).sqrt()
}

/// The distance in l2, relative to the length of what is expected.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    length(&(found - expected).unwrap()) / length(expected)
}

fn agree(objective: &dyn Objective, arch: &str, optimizer: &str, linear: bool) {
    let (x, sums, state) = trained(objective, arch, optimizer, linear);
    on_host(|| {
        let (found_x, found_sums, found_state) = precision::with(Precision::F32, || {
            trained(objective, arch, optimizer, linear)
        });
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
    agree(&Adversarial { mix: 0.0 }, "lenet5", "sgd", false);
}

#[test]
fn lenet5_trains_alike_by_trades() {
    agree(&Trades { beta: 6.0 }, "lenet5", "sgd", false);
}

#[test]
fn an_mlp_trains_alike_by_adamw_and_linbp() {
    agree(&Adversarial { mix: 0.0 }, "mlp", "adamw", true);
}

#[test]
fn resnet18_trains_alike_by_linbp() {
    agree(&Adversarial { mix: 0.0 }, "resnet18", "sgd", true);
}

#[test]
fn mobilenet_v2_trains_alike() {
    agree(&Adversarial { mix: 0.0 }, "mobilenet_v2", "sgd", false);
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
        let (network, x) = (network(arch), images(arch, N));
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
        let (network, x) = (network(arch), images(arch, N));
        let plan = models::linear_plan(arch, &network, &layers, LinbpUse::Attack).unwrap();
        for plan in [BackwardPlan::none(), plan] {
            let gradient = || {
                let victim = Victim::new(&network, plan.clone());
                victim.cross_entropy_gradient(&x, &[3, 1, 4, 1]).unwrap()
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

/// The error of a step of 32 images on a card with so many bytes of room.
fn no_room(objective: &dyn Objective, bytes: usize) -> String {
    let network = network("lenet5");
    let batch = Batch {
        images: images("lenet5", 32),
        label_values: vec![3; 32],
        indices: (0..32).collect(),
        mixed: None,
    };
    let (plan, adversary) = (BackwardPlan::none(), pgd(0.05, 1, BackwardPlan::none()));
    let step = Step {
        adversary: Some(&adversary),
        ..Step::new(&network, &plan, &batch, Coordinates::default())
    };
    let mut optimizer = optimizer("sgd", &network);
    let mut running = RunningMetrics::new(&EpochSums::default(), &Device::Cpu).unwrap();
    with_room(bytes, || {
        match train_step(objective, &step, optimizer.as_mut(), 0.1, &mut running) {
            Err(Error::NoMemory(why)) => too_large(&why, objective, &step, optimizer.as_mut()),
            other => panic!("{other:?} in {bytes} bytes"),
        }
    })
    .to_string()
}

#[test]
fn a_batch_that_fits_is_named() {
    on_host(|| {
        // The first convolution leaves 28 x 28 x 6 numbers per image, the largest weight gradient has 400 x 120.
        for objective in [&Clean {} as &dyn Objective, &Adversarial { mix: 0.0 }] {
            assert!(no_room(objective, 250_000).ends_with("data.batch_size = 8"));
            assert!(no_room(objective, 320_000).ends_with("data.batch_size = 16"));
            assert!(no_room(objective, 1_000).contains("Not even a step of one image fits"));
        }
    });
}
