//! Weights as others save them: behind wrappers, in one of several entries, under other names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use candle_core::{Device, Tensor};
use runner::models::{self, ModelConfig};
use runner::weights::save_safetensors;

const SPEC: &str = "name = \"e\"\ntask = \"evaluate\"\n\
                    data = { kind = \"digits\", test_limit = 20 NORMALIZE }\n\
                    model = { arch = \"mlp\", widths = [5], weights = \"w.safetensors\" MORE }\n";

/// The network's tensors under names that `renamed` makes.
fn state(renamed: impl Fn(&str) -> String) -> BTreeMap<String, Tensor> {
    let config = ModelConfig {
        widths: Some(vec![5]),
        ..ModelConfig::new([1, 28, 28], 10)
    };
    let state = models::build("mlp", &config).unwrap().state().unwrap();
    let state = state
        .into_iter()
        .map(|(name, tensor)| (renamed(&name), tensor));
    state.collect()
}

/// Evaluates weights; the exit code and standard error.
fn evaluate(weights: &BTreeMap<String, Tensor>, normalize: &str, more: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    save_safetensors(
        &folder.path().join("w.safetensors"),
        weights,
        HashMap::new(),
    )
    .unwrap();
    let spec = SPEC.replace("NORMALIZE", normalize).replace("MORE", more);
    run(folder.path(), &spec)
}

fn run(folder: &Path, spec: &str) -> (i32, String) {
    std::fs::write(folder.join("e.toml"), spec).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .args(["e.toml", "--results", "results"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), words)
}

#[test]
fn a_wrapper_with_a_normalisation_asks_for_it() {
    let mut weights = state(|name| format!("1.{name}"));
    let number = |value: f32| Tensor::new(&[[[[value]]]], &Device::Cpu).unwrap();
    weights.insert("0.mean".into(), number(0.25));
    weights.insert("0.std".into(), number(0.5));
    let (code, err) = evaluate(&weights, "", "");
    assert_eq!(code, 1, "{err}");
    let asked = "set data.normalize = { mean = [0.25], std = [0.5] }";
    assert!(err.contains(asked), "{err}");
    let (code, err) = evaluate(&weights, ", normalize = { mean = [0.25], std = [0.5] }", "");
    assert_eq!(code, 0, "{err}");
}

#[test]
fn names_are_changed_and_a_misfit_lists_both_sides() {
    let weights = state(|name| format!("encoder.{}", name.replace("weight", "w")));
    let (code, err) = evaluate(&weights, "", "");
    assert_eq!(code, 1);
    assert!(
        err.contains("is missing") && err.contains("unused of the weights are"),
        "{err}"
    );
    let (code, err) = evaluate(&weights, "", ", rename = { \"*.w\" = \"*.weight\" }");
    assert_eq!(code, 0, "{err}");
    let (code, err) = evaluate(&weights, "", ", rename = { \"*.v\" = \"*.weight\" }");
    assert_eq!(code, 1);
    assert!(err.contains("no tensor is called \"*.v\""), "{err}");
    let (code, err) = evaluate(&weights, "", ", rename = { \"*.*\" = \"*\" }");
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_safetensors_file_has_no_entries() {
    let (code, err) = evaluate(&state(str::to_owned), "", ", weights_entry = \"ema\"");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("remove model.weights_entry"), "{err}");
}
