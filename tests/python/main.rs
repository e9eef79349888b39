//! The reader of results in `python/`, on runs of the program.

#[path = "../parity/interpreter.rs"]
mod interpreter;

use std::path::Path;
use std::process::Command;

use crate::interpreter::interpreter_for;

const TRAINING: &str = r#"
name = "digits"
task = "train"
data = { kind = "digits", train_limit = 200, test_limit = 50, batch_size = 50 }
model = { arch = "mlp", widths = [16] }
train = { epochs = 2 }
"#;

const SIMULATION: &str = r#"
name = "simulation"
task = "simulate"
[simulate]
kind = "two-layer-attack"
repeats = 3
steps = 10
step_rule = "l2"
step_size = 0.05
epsilon = 0.25
"#;

/// Stages that two runs share, with all other tables.
const CHAIN: &str = r#"
name = "chain"
data = { kind = "digits", train_limit = 200, test_limit = 50, batch_size = 50 }
[[stage]]
id = "learn"
task = "train"
model = { arch = "mlp", widths = [16] }
optimizer = { lr = 0.5 }
train = { epochs = 2 }
[[stage]]
id = "hit"
task = "attack"
model = { weights = "@learn" }
attack = { kind = "pgd", step_size = 0.05, k = 2 }
[[stage]]
id = "judge"
task = "transfer"
attack = { kind = "pgd", epsilon = 0.1, step_size = 0.05, k = 2 }
[stage.transfer]
attacks = ["pgd"]
linbp = [false]
models = { a = { arch = "mlp", widths = [16], weights = "@learn" }, b = { arch = "mlp", widths = [16], weights = "@learn" } }
"#;

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn reader() {
    let Some(python) = interpreter_for("the reader of results", &["tomllib", "pandas"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (spec, sweeps) in [
        (TRAINING, &["optimizer.lr=0.1,0.5", "seed=1,2"][..]),
        (SIMULATION, &["simulate.step_size=0.05,0.1"]),
        (CHAIN, &["stage.hit.attack.epsilon=0.1,0.2"]),
    ] {
        std::fs::write(folder.path().join("spec.toml"), spec).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_runner"));
        program.current_dir(folder.path()).arg("spec.toml");
        for sweep in sweeps {
            program.args(["--sweep", sweep]);
        }
        run(&mut program);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ask = || {
        let mut command = Command::new(&python);
        command.current_dir(folder.path());
        command.env("PYTHONPATH", root.join("python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let status = ask().arg(root.join("tests/python/reader.py")).status();
    assert!(status.unwrap().success(), "reader.py failed");

    // The examples of the documentation, as they stand.
    let page = std::fs::read_to_string(root.join("docs/results.md")).unwrap();
    let blocks = page.split("```python\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("```").unwrap().0);
    let blocks: Vec<&str> = blocks
        .filter(|code| code.contains("runner_results"))
        .collect();
    assert_eq!(blocks.len(), 1);
    run(ask().args(["-c", blocks[0]]));
}
