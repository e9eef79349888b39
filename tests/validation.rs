//! The validation set that chooses the best epoch of an adversarial training.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SPEC: &str = r#"
name = "held-back"
task = "adversarial-train"
seed = 1
[data]
kind = "digits"
batch_size = 50
eval_batch_size = 250
train_limit = 4000
test_limit = 250
[model]
arch = "lenet5"
[optimizer]
kind = "sgd"
lr = 0.05
momentum = 0.9
[train]
epochs = 12
[attack]
kind = "fgsm"
epsilon = 0.1
[evaluate]
attacks = ["none", "fgsm"]
"#;

fn run(folder: &Path, overrides: &[&str]) -> (Output, PathBuf) {
    fs::write(folder.join("spec.toml"), SPEC).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .arg("spec.toml")
        .args(overrides)
        .output()
        .unwrap();
    let named = fs::read_dir(folder.join("results/held-back")).unwrap();
    let mut runs = named.map(|entry| entry.unwrap().path());
    let run = runs.find(|path| path.join("run.json").exists()).unwrap();
    (output, run)
}

/// The accuracies of a split under an attack, epoch by epoch.
fn accuracies(run: &Path, split: &str, attack: &str) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect());
    let of = rows.filter(|row: &Vec<&str>| row[3] == split && row[4] == attack);
    of.map(|row| row[6].parse().unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn held_back_images_choose_the_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = [
        "data.validation=300",
        "train.epochs=4",
        "attack.epsilon=0.1",
    ];
    let (output, run) = run(folder.path(), &overrides);
    assert!(output.status.success(), "{}", said(&output));
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let examples = |split: &str| rows.iter().find(|row| row[3] == split).unwrap()[9];
    assert_eq!(
        ["train", "validation", "test"].map(examples),
        ["3700", "300", "250"]
    );
    // Under the last attack of the list; the first of equals.
    let held = accuracies(&run, "validation", "fgsm");
    assert_eq!(held.len(), 4);
    let most = held.iter().fold(0.0f64, |most, value| most.max(*value));
    let best = 1 + held.iter().position(|value| *value == most).unwrap();
    let pointer = fs::read_to_string(run.join("checkpoints/best")).unwrap();
    assert!(
        pointer.starts_with(&format!("e{best:04}-")),
        "{held:?} {pointer}"
    );
    let record = fs::read_to_string(run.join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let metrics = &record["stages"][0]["metrics"];
    let test = accuracies(&run, "test", "fgsm");
    assert_eq!(metrics["best_epoch"], best as f64);
    assert_eq!(metrics["test_fgsm_accuracy_of_best"], test[best - 1]);
    assert_eq!(metrics["test_fgsm_accuracy_gap"], test[best - 1] - test[3]);
}
