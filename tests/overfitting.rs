//! Overfitting of adversarial training: the guard that watches robust accuracy, and the validation set that chooses the best
//! epoch.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::Tensor;
use runner::weights::load_tensors;

const SPEC: &str = r#"
name = "watched"
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
epsilon = 0.03
[evaluate]
attacks = ["none", "fgsm"]
"#;

/// Of robust accuracy, from one epoch to the next: less than a collapse, so that a short training has one for sure.
const FALL: f64 = 0.002;

fn run(folder: &Path, overrides: &[&str]) -> (Output, PathBuf) {
    fs::write(folder.join("spec.toml"), SPEC).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .arg("spec.toml")
        .args(overrides)
        .output()
        .unwrap();
    let named = fs::read_dir(folder.join("results/watched")).unwrap();
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

fn final_weights(run: &Path) -> Vec<(String, Vec<f32>)> {
    let tensors = load_tensors(&run.join("checkpoints/final.safetensors")).unwrap();
    let numbers = |t: Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
    let named = tensors.into_iter();
    named.map(|(name, t)| (name, numbers(t))).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn held_back_images_choose_the_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = ["data.validation=300", "train.epochs=4"];
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

#[test]
fn a_collapse_is_caught_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let guard = format!("train.guard={{ on_collapse = \"restore\", drop = {FALL} }}");
    let (output, guarded) = run(folder.path(), &[&guard]);
    assert!(output.status.success(), "{}", said(&output));
    let seen = accuracies(&guarded, "guard", "pgd");
    let epochs = seen.len();
    assert!((2..12).contains(&epochs), "{seen:?}");
    let (before, after) = (seen[epochs - 2], seen[epochs - 1]);
    assert!(before - after > FALL, "{seen:?}");
    let falls = seen.windows(2).filter(|pair| pair[0] - pair[1] > FALL);
    assert_eq!(falls.count(), 1, "{seen:?}");
    let warning = format!("catastrophic overfitting in epoch {epochs}");
    let restored = format!("the training ends with the weights of epoch {}", epochs - 1);
    let words = said(&output);
    assert!(
        words.contains(&warning) && words.contains(&restored),
        "{words}"
    );
    // What was put back is what a training that ends before the collapse ends with.
    let shorter = tempfile::tempdir().unwrap();
    let (output, whole) = run(shorter.path(), &[&format!("train.epochs={}", epochs - 1)]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(final_weights(&guarded) == final_weights(&whole));
    let clean = |run: &Path| *accuracies(run, "test", "none").last().unwrap();
    assert_eq!(clean(&guarded), clean(&whole));
}

#[test]
fn a_collapse_stops_the_run_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let guard = format!("train.guard={{ on_collapse = \"stop\", drop = {FALL} }}");
    let (output, _) = run(folder.path(), &[&guard]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("catastrophic overfitting in epoch"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_guard_catches_a_collapse_on_mnist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("../shared/data/mnist");
    if !data.exists() {
        // Past the test harness, which swallows what `eprintln` writes.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no real MNIST in ../shared/data"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |overrides: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(folder.path())
            .arg(root.join("experiments/collapse_mnist.toml"))
            .args(overrides)
            .arg(format!("data.dir={}", data.display()))
            .output()
            .unwrap();
        let named = fs::read_dir(folder.path().join("results/collapse_mnist")).unwrap();
        let mut runs = named.map(|entry| entry.unwrap().path());
        let run = runs.find(|path| path.join("run.json").exists()).unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let found = ["none", "pgd-20"].map(|attack| accuracies(&run, "test", attack));
        let training = accuracies(&run, "train", "fgsm");
        fs::remove_dir_all(folder.path().join("results")).unwrap();
        (found, training, said(&output))
    };
    let ([clean, robust], training, _) = run(&["train.guard.on_collapse=warn", "train.epochs=5"]);
    let (first, last) = (robust[..2].iter().fold(0f64, |a, &b| a.max(b)), robust[4]);
    assert!(first > 0.2 && last < 0.05, "{robust:?}");
    assert!(
        training[4] > 0.75 && clean[4] > 0.75,
        "{training:?} {clean:?}"
    );
    let ([_, guarded], _, words) = run(&[]);
    assert!(
        words.contains("catastrophic overfitting in epoch"),
        "{words}"
    );
    let kept = guarded[guarded.len() - 1];
    assert!(guarded.len() < 10 && kept > 0.2, "{guarded:?}");
}
