//! A network from the layers of a spec against the same one in PyTorch, whose state dict it takes: from fixtures that
//! tests/parity/make_layer_fixtures.py wrote.

use std::path::Path;

use candle_core::DType;
use runner::models::{Layer, Layers, LinbpUse, ModelConfig, build, linear_plan, rescaled};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network, Pass, Tape};
use runner::weights::load_tensors;

use crate::models::{Tensors, largest, numbers};

const LAYERS: &str = r#"[
    "conv 8 3x3 pad=1 bias=false", "batch-norm", "relu",
    {
        "residual": [
            "conv 12 3x3 stride=2 pad=1 groups=2", "batch-norm", "relu6",
            "conv 12 3x3 pad=1 bias=false", "batch-norm"
        ],
        "shortcut": ["conv 12 1x1 stride=2 bias=false", "batch-norm"]
    },
    "relu",
    { "residual": ["conv 12 3x3 pad=1", "silu"] },
    "max-pool 3 stride=1 pad=1", "avg-pool 2", "flatten",
    "linear 16 bias=false", "batch-norm", "relu", "dropout 0.5", "linear 10"
]"#;

const LINEAR: [&str; 3] = ["3.body.2", "4", "11"];

fn read(name: &str) -> Tensors {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layers");
    load_tensors(&folder.join(name)).unwrap()
}

fn network() -> Network {
    let layers: Vec<Layer> = serde_json::from_str(LAYERS).unwrap();
    let config = ModelConfig {
        layers: Some(layers),
        dropout: Some(0.0),
        dtype: DType::F64,
        ..ModelConfig::new([3, 8, 8], 10)
    };
    let network = build("sequential", &config).unwrap();
    assert_eq!(network.load(&read("state.pt")).unwrap(), [""; 0]);
    network
}

fn labels(reference: &Tensors) -> Vec<u32> {
    let labels = numbers(&reference["labels"]);
    labels.into_iter().map(|label| label as u32).collect()
}

#[test]
fn a_state_dict_gives_the_logits_and_gradients_of_its_sequence() {
    let (network, reference) = (network(), read("reference.safetensors"));
    assert_eq!(
        network.activations(),
        ["2", "3.body.2", "4", "5.body.1", "11"]
    );
    let linear = || {
        let layers = Layers::Names(LINEAR.map(String::from).to_vec());
        linear_plan("sequential", &network, &layers, LinbpUse::Attack).unwrap()
    };
    for (variant, plan) in [
        ("bp", BackwardPlan::none()),
        ("linbp", linear()),
        (
            "rescaled",
            rescaled("sequential", &network, linear()).unwrap(),
        ),
    ] {
        let tape = Tape::new(Pass::attack(plan, Mode::Eval, Coordinates::default()));
        let logits = network.forward(&tape, &tape.input(&reference["images"]));
        let logits = logits.unwrap();
        let error = largest(logits.tensor(), &reference["logits"]);
        assert!(error < 1e-9, "{variant}: logits off by {error:.0e}");
        let loss = cross_entropy(logits.tensor(), &labels(&reference), Reduction::Sum).unwrap();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        let expected = &reference[&format!("input.{variant}")];
        let error = largest(&gradients.input().unwrap(), expected);
        assert!(error < 1e-9, "{variant}: gradient off by {error:.0e}");
    }
}

#[test]
fn a_training_step_is_that_of_its_sequence() {
    let (network, reference) = (network(), read("reference.safetensors"));
    let tape = Tape::new(Pass::training(BackwardPlan::none(), Coordinates::default()));
    let logits = network.forward(&tape, &tape.input(&reference["images"]));
    let logits = logits.unwrap();
    let loss = cross_entropy(logits.tensor(), &labels(&reference), Reduction::Mean).unwrap();
    let gradients = tape.backward(&logits, loss.gradient).unwrap();
    for parameter in network.parameters() {
        let expected = numbers(&reference[&format!("train.{}", parameter.name())]);
        let found = numbers(gradients.parameter(parameter).unwrap());
        let pairs = found.iter().zip(&expected);
        let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-9, "{}: off by {error:.0e}", parameter.name());
    }
    for buffer in network.buffers() {
        let expected = &reference[&format!("running.{}", buffer.name())];
        let error = largest(buffer.tensor(), expected);
        assert!(error < 1e-9, "{}: off by {error:.0e}", buffer.name());
    }
}
