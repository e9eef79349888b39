//! Whole models in f64, with respect to the input and to some of every tensor's weights.

use runner::models::{ModelConfig, build};
use runner::nn::Mode;
use runner::ops::activation::Activation;

use crate::harness::{Case, on_every_isa};

pub fn case(arch: &str, shape: [usize; 4], activation: Option<Activation>) -> Case {
    let [_, channels, height, width] = shape;
    Case::of(arch, shape, |dtype| {
        let config = ModelConfig {
            activation,
            seed: 3,
            dtype,
            ..ModelConfig::new([channels, height, width], 10)
        };
        build(arch, &config).unwrap()
    })
    .settled()
}

fn check(arch: &str, shape: [usize; 4], mode: Mode) {
    on_every_isa(|| {
        // Without kinks: of thousands of activations, some always sit next to theirs.
        let mut case = case(arch, shape, Some(Activation::Silu));
        (case.mode, case.tolerance, case.single) = (mode, 2e-5, 1e-3);
        (case.samples, case.every) = (0, 7);
        case.check_gradients();
    });
}

#[test]
fn mlp() {
    check("mlp", [3, 1, 8, 8], Mode::Eval);
}

#[test]
fn lenet5() {
    check("lenet5", [2, 1, 28, 28], Mode::Eval);
}

#[test]
fn resnet20() {
    check("resnet20", [2, 3, 8, 8], Mode::Eval);
}

#[test]
fn preact_resnet18() {
    check("preact_resnet18", [2, 3, 8, 8], Mode::Eval);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2", [2, 3, 16, 16], Mode::Eval);
}

#[test]
fn mobilenet_v2_in_training() {
    check("mobilenet_v2", [2, 3, 16, 16], Mode::Train);
}
