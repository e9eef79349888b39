//! Whole networks: logits, gradients by BP and LinBP, a training step.

use candle_core::{Device, Tensor};
use runner::attacks::Victim;
use runner::models::{self, Layers, LinbpUse, ModelConfig};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Network, Pass, Tape};
use runner::ops::precision::Precision;
use runner::optim::{Optimizer, OptimizerKind, OptimizerSpec, Sgd};

use crate::{agree, each_precision, flat, noise};

const ARCHITECTURES: [&str; 8] = [
    "mlp",
    "lenet5",
    "mobilenet_v2",
    "squeezenet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
];

fn shape(arch: &str) -> [usize; 3] {
    match arch {
        "mlp" | "lenet5" => [1, 28, 28],
        _ => [3, 32, 32],
    }
}

pub fn network(arch: &str, device: &Device) -> Network {
    let config = ModelConfig {
        seed: 4,
        device: device.clone(),
        ..ModelConfig::new(shape(arch), 10)
    };
    models::build(arch, &config).unwrap()
}

pub fn batch(arch: &str, n: usize) -> (Tensor, Vec<u32>) {
    let [c, h, w] = shape(arch);
    let images = ((noise(7, &[n, c, h, w]) + 1.0).unwrap() * 0.5).unwrap();
    (images, (0..n as u32).map(|i| i % 10).collect())
}

fn linear(arch: &str, network: &Network) -> BackwardPlan {
    models::linear_plan(arch, network, &Layers::Default, LinbpUse::Attack).unwrap()
}

#[test]
fn logits_and_input_gradients() {
    each_precision(|card, precision, bound| {
        for arch in ARCHITECTURES {
            let (here, there) = (network(arch, &Device::Cpu), network(arch, card));
            let (images, labels) = batch(arch, 8);
            let what = format!("{arch} {precision:?}");
            agree(
                &format!("{what} logits"),
                &there.logits(&images).unwrap(),
                &here.logits(&images).unwrap(),
                3.0 * bound,
            );
            if precision != Precision::F32 {
                // A kink that rounding passes turns whole gradients: what is bounded there is the ops'.
                continue;
            }
            for plan in [BackwardPlan::none(), linear(arch, &here)] {
                let gradient = |network: &Network| {
                    let victim = Victim::new(network, plan.clone());
                    victim.cross_entropy_gradient(&images, &labels).unwrap()
                };
                agree(
                    &format!("{what} input gradient"),
                    &gradient(&there),
                    &gradient(&here),
                    10.0 * bound,
                );
            }
        }
    });
}

#[test]
fn a_training_step() {
    each_precision(|card, precision, bound| {
        if precision != Precision::F32 {
            return;
        }
        // Rounding carries an activation or two of a step over their kinks, which moves a bias by a few thousandths. A second
        // step makes fiftieths of that, a twentieth in MobileNetV2.
        for (arch, steps) in [("lenet5", 2), ("mobilenet_v2", 1), ("resnet18", 1)] {
            let (images, labels) = batch(arch, 16);
            let trained = |device: &Device| {
                let network = network(arch, device);
                let config = OptimizerSpec {
                    momentum: 0.9,
                    nesterov: false,
                    weight_decay: 5e-4,
                    ..OptimizerSpec::new(OptimizerKind::Sgd)
                };
                let mut optimizer = Sgd::new(&config, network.parameters()).unwrap();
                let x = images.to_device(device).unwrap();
                for batch in 0..steps {
                    let at = Coordinates {
                        batch,
                        ..Coordinates::default()
                    };
                    let tape = Tape::new(Pass::training(BackwardPlan::none(), at));
                    let logits = network.forward(&tape, &tape.input(&x)).unwrap();
                    let loss = cross_entropy(logits.tensor(), &labels, Reduction::Mean).unwrap();
                    let gradients = tape.backward(&logits, loss.gradient).unwrap();
                    optimizer.step(&gradients, 0.01).unwrap();
                }
                network.state().unwrap()
            };
            let (here, there) = (trained(&Device::Cpu), trained(card));
            for (name, expected) in &here {
                // The bias of a batch norm that another follows has no gradient but rounding.
                let size =
                    |tensor: &Tensor| flat(tensor).iter().map(|v| v.abs()).fold(0.0, f64::max);
                if size(expected) < 1e-6 {
                    assert!(size(&there[name]) < 1e-6, "{arch} {name}");
                    continue;
                }
                agree(
                    &format!("{arch} {precision:?} {name}"),
                    &there[name],
                    expected,
                    10.0 * bound,
                );
            }
        }
    });
}
