//! Networks that PyTorch exports to ONNX beside the same ones of this program.
//!
//! They are exported in f64: a batch norm that the exporter folds into a convolution in f32 leaves rounding errors in the
//! weights, which in a deep network carry an activation or two over their kinks.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use runner::models::{ModelConfig, Stem, adapt, build};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network, Pass, Tape};
use runner::weights::load_tensors;

use crate::models::{chosen, largest};
use crate::pytorch::{Script, interpreter_with, say};

/// The bars: logits, gradients of the input.
const LOGITS: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

const LABELS: [u32; 3] = [0, 3, 6];

/// The logits of the images, and the input's gradient where every activation or none is linear.
fn answers(network: &Network, images: &Tensor, linear: bool) -> (Tensor, Tensor) {
    let plan = match linear {
        true => BackwardPlan::new(vec![true; network.activations().len()]),
        false => BackwardPlan::none(),
    };
    let tape = Tape::new(Pass::attack(plan, Mode::Eval, Coordinates::default()));
    let logits = network.forward(&tape, &tape.input(images)).unwrap();
    let loss = cross_entropy(logits.tensor(), &LABELS, Reduction::Sum).unwrap();
    let found = logits.tensor().clone();
    let gradients = tape.backward(&logits, loss.gradient).unwrap();
    (found, gradients.input().unwrap())
}

fn built_in(name: &str, config: &ModelConfig, weights: &BTreeMap<String, Tensor>) -> Network {
    let (arch, stem) = match name.split_once(':') {
        Some((arch, "7x7")) => (arch, Some(Stem::ImageNet)),
        Some((arch, _)) => (arch, Some(Stem::Plain)),
        None => (name, None),
    };
    let mut weights = weights.clone();
    adapt(arch, &mut weights).unwrap();
    let config = ModelConfig {
        stem,
        ..config.clone()
    };
    let network = build(arch, &config).unwrap();
    network.load(&weights).unwrap();
    network
}

#[test]
fn exported_networks() {
    let Some(python) = interpreter_with(&["onnx", "onnxscript"], "exported networks") else {
        return;
    };
    let mut script = Script::start(&python, "export_onnx.py", &[]);
    let mut faults = Vec::new();
    say("| architecture | export | logits | input gradient BP | input gradient LinBP |");
    for name in chosen() {
        let answer = script.ask(&name);
        let ways = answer.strip_prefix(&format!("done {name} "));
        let weights = load_tensors(&script.folder().join("weights.pt")).unwrap();
        let image = match name.as_str() {
            "mlp" | "lenet5" => [1, 28, 28],
            _ => [3, 32, 32],
        };
        let config = ModelConfig {
            dtype: DType::F64,
            dropout: Some(0.0),
            ..ModelConfig::new(image, 10)
        };
        let count = 3 * image.iter().product::<usize>();
        let pixels = (0..count).map(|i| ((i * 7919) % 1013) as f64 / 1012.0);
        let images = Tensor::from_iter(pixels, &candle_core::Device::Cpu).unwrap();
        let images = images.reshape((3, image[0], image[1], image[2])).unwrap();
        let own = built_in(&name, &config, &weights);
        let expected = [false, true].map(|linear| answers(&own, &images, linear));
        for way in ways.expect("the exporter answers").split(',') {
            let file = script.folder().join(format!("{way}.onnx"));
            let network = match build(&format!("onnx:{}", file.display()), &config) {
                Ok(network) => network,
                Err(error) => {
                    faults.push(format!("{name} {way}: {error}"));
                    continue;
                }
            };
            let found = [false, true].map(|linear| answers(&network, &images, linear));
            let errors = [
                largest(&found[0].0, &expected[0].0),
                largest(&found[0].1, &expected[0].1),
                largest(&found[1].1, &expected[1].1),
            ];
            let cells = errors.map(|error| format!("{error:.0e}"));
            say(&format!("| {name} | {way} | {} |", cells.join(" | ")));
            for (error, bar) in errors.into_iter().zip([LOGITS, GRADIENT, GRADIENT]) {
                if error.is_nan() || error > bar {
                    faults.push(format!("{name} {way}: off by {error:.1e}"));
                }
            }
        }
    }
    assert!(script.end());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
