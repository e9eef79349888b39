//! The networks of RobustBench: state dicts of its own classes fit by their names and shapes, and logits and gradients of
//! images are the same, in f64.

use std::path::Path;
use std::process::Command;

use candle_core::{DType, Tensor};
use runner::models::{ModelConfig, build};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network, Pass, Tape};
use runner::weights::load_tensors;

use crate::models::{largest, numbers};
use crate::pytorch::{interpreter, say};

/// What the script says where RobustBench is not installed.
const MISSING: i32 = 3;

const NAMES: [&str; 7] = [
    "dm_wide_resnet28_10",
    "dm_wide_resnet34_10",
    "dm_preact_resnet18",
    "wide_resnet28_10",
    "wide_resnet34_10",
    "preact_resnet18",
    "preact_resnet18_raw_shortcut",
];

/// The logits, and the gradient of the summed cross-entropy with respect to the images.
fn answers(network: &Network, images: &Tensor, labels: &[u32]) -> [Tensor; 2] {
    let tape = Tape::new(Pass::attack(
        BackwardPlan::none(),
        Mode::Eval,
        Coordinates::default(),
    ));
    let logits = network.forward(&tape, &tape.input(images)).unwrap();
    let loss = cross_entropy(logits.tensor(), labels, Reduction::Sum).unwrap();
    let found = logits.tensor().clone();
    let gradients = tape.backward(&logits, loss.gradient).unwrap();
    [found, gradients.input().unwrap()]
}

#[test]
fn robustbench_s_networks_load_and_answer_as_there() {
    let Some(python) = interpreter() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/networks_of_robustbench.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output();
    let output = output.unwrap();
    if output.status.code() == Some(MISSING) {
        let why = String::from_utf8_lossy(&output.stdout);
        say(&format!("SKIPPED RobustBench's networks: {}", why.trim()));
        return;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for name in NAMES {
        let read = |end: &str| load_tensors(&folder.path().join(format!("{name}.{end}"))).unwrap();
        let (state, reference) = (read("pt"), read("safetensors"));
        let config = ModelConfig {
            dtype: DType::F64,
            ..ModelConfig::new([3, 32, 32], 10)
        };
        let network = build(name, &config).unwrap();
        let surplus = network.load(&state).unwrap();
        let unused = surplus
            .iter()
            .filter(|tensor| !tensor.starts_with("sub_block1."));
        assert_eq!(unused.count(), 0, "{name} has no use for {surplus:?}");
        let images = reference["images"].to_dtype(DType::F64).unwrap();
        let labels = numbers(&reference["labels"]);
        let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let [logits, gradient] = answers(&network, &images, &labels);
        let of_logits = largest(&logits, &reference["logits"]);
        let of_gradient = largest(&gradient, &reference["gradient"]);
        say(&format!(
            "{name}: logits off by {of_logits:.1e}, input gradient by {of_gradient:.1e}"
        ));
        assert!(of_logits < 1e-9 && of_gradient < 1e-9, "{name}");
    }
}
