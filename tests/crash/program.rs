//! The built program in a folder of its own, and what it left there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::{DType, Device};
use runner::run::{Checkpoint, CheckpointStore};

/// A training whose best epoch is the second of three: after it the rate is far too high.
pub const SPEC: &str = r#"
name = "run"
task = "train"
seed = 3
[data]
kind = "digits"
batch_size = 50
train_limit = 200
test_limit = 100
[model]
arch = "mlp"
widths = [16]
[optimizer]
kind = "sgd"
lr = 0.1
momentum = 0.9
[scheduler]
kind = "step"
milestones = [2]
gamma = 40
[train]
epochs = 3
[checkpoint]
keep = 1
"#;

/// A folder with `spec.toml`.
pub fn folder(spec: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spec.toml"), spec).unwrap();
    folder
}

pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.current_dir(folder).arg("spec.toml");
    command
}

pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Starts the command and gives what it said.
pub fn finish(folder: &Path) -> String {
    let output = command(folder).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// Starts the command, which must fail, and gives what it said.
pub fn fail(folder: &Path) -> String {
    let output = command(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

/// The one run's folder.
pub fn run_folder(folder: &Path) -> PathBuf {
    let mut runs: Vec<PathBuf> = fs::read_dir(folder.join("results/run"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.json").exists())
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

/// All that must not depend on interruptions.
#[derive(Debug, PartialEq)]
pub struct Left {
    /// The rows of `metrics.csv` without their last two columns, which are timings.
    rows: Vec<String>,
    final_weights: Vec<u8>,
    /// Their exponential average, where there is one.
    ema: Option<Vec<u8>>,
    /// Files of the folder of checkpoints, and what the two pointers say.
    checkpoints: Vec<String>,
    pointers: [String; 2],
    best: (BTreeMap<String, Vec<u8>>, serde_json::Value),
}

impl Left {
    pub fn names_as_best(&self, file: &str) -> bool {
        self.pointers[1].trim() == file
    }
}

pub fn left(folder: &Path) -> Left {
    let run = run_folder(folder);
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows = text.lines();
    let rows = rows.map(|line| line.rsplitn(3, ',').last().unwrap().to_owned());
    let checkpoints = run.join("checkpoints");
    let pointer = |name: &str| fs::read_to_string(checkpoints.join(name)).unwrap();
    let mut names: Vec<String> = fs::read_dir(&checkpoints)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let store = CheckpointStore::new(&checkpoints, 1);
    let best = store.best(&Device::Cpu).unwrap().expect("a best one");
    Left {
        rows: rows.collect(),
        final_weights: fs::read(checkpoints.join("final.safetensors")).unwrap(),
        ema: fs::read(checkpoints.join("ema.safetensors")).ok(),
        checkpoints: names,
        pointers: [pointer("last"), pointer("best")],
        best: content(best),
    }
}

/// Tensors and state of a checkpoint, without timings.
fn content(mut checkpoint: Checkpoint) -> (BTreeMap<String, Vec<u8>>, serde_json::Value) {
    let rows = checkpoint.state["rows"].as_array_mut().unwrap();
    for row in rows {
        let row = row.as_object_mut().unwrap();
        row.remove("seconds");
        row.remove("examples_per_second");
    }
    let tensors = checkpoint.tensors.into_iter().map(|(name, tensor)| {
        // Counts are float64 and small.
        let numbers = tensor.to_dtype(DType::F32).unwrap().flatten_all();
        let numbers = numbers.unwrap().to_vec1::<f32>().unwrap();
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        (name, bytes.collect())
    });
    (tensors.collect(), checkpoint.state)
}

/// Temporary files under `folder`, however deep.
pub fn temporary(folder: &Path) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| path.extension().is_some_and(|ending| ending == "tmp"));
    found
}

/// All files under `folder`, however deep.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
