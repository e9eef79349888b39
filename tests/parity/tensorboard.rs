//! Event files as TensorBoard's own reader reads them.

use std::process::Command;

use crate::pytorch::interpreter_with;

const SPEC: &str = r#"
    name = "learn"
    task = "train"
    data = { kind = "digits", train_limit = 200, test_limit = 50, batch_size = 50 }
    model = { arch = "mlp" }
    optimizer = { lr = 0.1 }
    train = { epochs = 3 }
"#;

const READ: &str = "
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
for tag in events.Tags()['scalars']:
    for event in events.Scalars(tag):
        print(tag, event.step, event.value, sep='|')
";

#[test]
fn tensorboard_reads_what_metrics_say() {
    let Some(python) = interpreter_with(&["tensorboard"], "TensorBoard's reader") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("learn.toml"), SPEC).unwrap();
    let runner = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        let output = command
            .current_dir(folder.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    runner(&["learn.toml"]);
    let written = runner(&["tensorboard", "learn"]);
    let file = folder.path().join(written.trim());
    let read = Command::new(&python)
        .args(["-c", READ])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    let read = String::from_utf8(read.stdout).unwrap();
    let mut found: Vec<(u64, f64)> = Vec::new();
    for line in read.lines() {
        let cells: Vec<&str> = line.split('|').collect();
        if cells[0] == "accuracy/test" {
            found.push((cells[1].parse().unwrap(), cells[2].parse().unwrap()));
        }
    }
    let metrics = file.with_file_name("metrics.csv");
    let mut rows = csv::Reader::from_path(metrics).unwrap();
    let rows = rows.records().map(|row| row.unwrap());
    let expected: Vec<(u64, f64)> = rows
        .filter(|row| &row[3] == "test")
        .map(|row| (row[1].parse().unwrap(), row[6].parse().unwrap()))
        .collect();
    assert_eq!(expected.len(), 3);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.0, expected.0);
        assert!(
            (found.1 - expected.1).abs() < 1e-6,
            "{found:?} {expected:?}"
        );
    }
    assert_eq!(found.len(), 3, "{read}");
}
