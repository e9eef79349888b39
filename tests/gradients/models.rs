//! Whole models in f64, with respect to the input and to some of every tensor's weights.

use runner::models::{Layer, ModelConfig, build};
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

/// A network as a spec writes it down: a residual block with a shortcut, one without, all the kinds of layers.
fn sequential(mode: Mode) {
    const LAYERS: &str = r#"[
        "conv 4 3x3 pad=1 bias=false", "batch-norm", "silu",
        {
            "residual": ["conv 6 3x3 pad=1 stride=2 groups=2 bias=false", "batch-norm", "silu", "conv 6 1x1"],
            "shortcut": ["avg-pool 2", "conv 6 1x1 bias=false"]
        },
        { "residual": ["batch-norm", "silu", "conv 6 3x3 pad=1", "dropout 0.1"] },
        "silu", "max-pool 3 stride=2 pad=1", "flatten", "linear 12 bias=false", "batch-norm", "silu",
        "linear 10"
    ]"#;
    on_every_isa(|| {
        let layers: Vec<Layer> = serde_json::from_str(LAYERS).unwrap();
        let mut case = Case::of("sequential", [4, 3, 8, 8], |dtype| {
            let config = ModelConfig {
                layers: Some(layers.clone()),
                seed: 3,
                dtype,
                ..ModelConfig::new([3, 8, 8], 10)
            };
            build("sequential", &config).unwrap()
        })
        .settled();
        (case.mode, case.tolerance, case.single) = (mode, 2e-5, 1e-3);
        case.check_gradients();
    });
}

#[test]
fn layers_of_a_spec() {
    sequential(Mode::Eval);
}

#[test]
fn layers_of_a_spec_in_training() {
    sequential(Mode::Train);
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
fn dm_wide_resnet10_1() {
    check("dm_wide_resnet10_1", [2, 3, 8, 8], Mode::Eval);
}

#[test]
fn dm_preact_resnet18_in_training() {
    check("dm_preact_resnet18", [2, 3, 16, 16], Mode::Train);
}

#[test]
fn mobilenet_v2() {
    check("mobilenet_v2", [2, 3, 16, 16], Mode::Eval);
}

#[test]
fn mobilenet_v2_in_training() {
    check("mobilenet_v2", [2, 3, 16, 16], Mode::Train);
}
