//! Classifiers of torchvision and timm, exported by PyTorch, beside PyTorch's own numbers.
//!
//! `cargo test --release --test parity zoo` takes a few; `RUNNER_ZOO=all` every convolutional classifier that
//! tests/parity/export_zoo.py names, `RUNNER_ZOO=NAME,NAME` these. `RUNNER_ZOO_WAYS=traced,apart,dynamo` chooses the exporters.

use std::path::Path;

use candle_core::DType;
use runner::models::{ModelConfig, build};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Pass, Tape};
use runner::weights::load_tensors;

use crate::models::largest;
use crate::pytorch::{Script, interpreter_with, say};

/// The bars: logits, gradients of the input.
const LOGITS: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

/// One of each kind of operator that is read: gates, GELU and layer norms, shuffled channels, uneven borders, groups.
const FEW: &str = "torchvision/mobilenet_v3_small,torchvision/shufflenet_v2_x0_5,torchvision/squeezenet1_0,timm/convnext_atto,\
                   timm/tf_efficientnet_b0,timm/resnetv2_50d_gn";

#[test]
fn zoo() {
    let Some(python) = interpreter_with(
        &["onnx", "onnxscript", "torchvision", "timm"],
        "classifiers of others",
    ) else {
        return;
    };
    let mut script = Script::start(&python, "export_zoo.py", &[]);
    let line = script.line();
    let chosen = std::env::var("RUNNER_ZOO").unwrap_or(FEW.into());
    let names: Vec<String> = match chosen.as_str() {
        "all" => line.split_whitespace().map(String::from).collect(),
        names => names.split(',').map(String::from).collect(),
    };
    let ways = std::env::var("RUNNER_ZOO_WAYS").unwrap_or("traced,dynamo".into());
    let (mut faults, mut sound, mut all) = (Vec::new(), 0, 0);
    say("| classifier | export | logits | input gradient |");
    for name in &names {
        for way in ways.split(',') {
            let line = script.ask(&format!("{name} {way}"));
            if !line.starts_with("done ") {
                say(&format!("| {name} | {way} | {} |", line.trim()));
                continue;
            }
            all += 1;
            match compared(script.folder()) {
                Ok([logits, gradient]) => {
                    say(&format!(
                        "| {name} | {way} | {logits:.0e} | {gradient:.0e} |"
                    ));
                    if logits <= LOGITS && gradient <= GRADIENT {
                        sound += 1;
                    } else {
                        faults.push(format!("{name} {way}: off by {logits:.1e}, {gradient:.1e}"));
                    }
                }
                Err(error) => {
                    say(&format!("| {name} | {way} | {error} |"));
                    faults.push(format!("{name} {way}: {error}"));
                }
            }
        }
    }
    assert!(script.end());
    say(&format!("{sound} of {all} exported files agree"));
    // Of all that there are some are known to be refused.
    let enough = match chosen.as_str() {
        "all" => 10 * sound >= 9 * all,
        _ => faults.is_empty(),
    };
    assert!(enough, "{}", faults.join("\n"));
}

/// How far logits and the input's gradient are from PyTorch's.
fn compared(folder: &Path) -> runner::Result<[f64; 2]> {
    let expected = load_tensors(&folder.join("expected.safetensors"))?;
    let images = &expected["images"];
    let (count, channels, height, width) = images.dims4()?;
    let config = ModelConfig {
        dtype: DType::F64,
        ..ModelConfig::new([channels, height, width], 10)
    };
    let file = format!("onnx:{}", folder.join("net.onnx").display());
    let network = build(&file, &config)?;
    let plan = BackwardPlan::none();
    let tape = Tape::new(Pass::attack(plan, Mode::Eval, Coordinates::default()));
    let logits = network.forward(&tape, &tape.input(images))?;
    let labels: Vec<u32> = (0..count as u32).collect();
    let loss = cross_entropy(logits.tensor(), &labels, Reduction::Sum)?;
    let found = logits.tensor().clone();
    let gradient = tape.backward(&logits, loss.gradient)?.input()?;
    Ok([
        largest(&found, &expected["logits"]),
        largest(&gradient, &expected["gradient"]),
    ])
}
