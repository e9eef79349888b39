//! Work that is cut again and again: it still ends, with the results of work that never was; and signals.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Two models that are trained for a moment, and what is attacked.
const TRAINED: &str = r#"
name = "a"
seed = 3
data = { kind = "digits", train_limit = 2000, test_limit = 120, batch_size = 50, eval_batch_size = 10 }
optimizer = { lr = 0.05, momentum = 0.9 }
train = { epochs = 4 }
[attack]
kind = "auto-attack"
epsilon = 0.02
k = 50
n_queries = 500
restarts = 2
[[stage]]
id = "deep"
task = "train"
model = { arch = "mlp", widths = [30, 30] }
evaluate = { attacks = ["none"] }
[[stage]]
id = "mlp"
task = "train"
model = { arch = "mlp", widths = [40] }
evaluate = { attacks = ["none"] }
"#;

/// The program at work on `a.toml` in a folder.
struct Run {
    child: Child,
    said: BufReader<ChildStderr>,
}

fn start(folder: &Path, spec: &str) -> Run {
    std::fs::write(folder.join("a.toml"), spec).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(["a.toml", "--device", "cpu"]);
    spawn(folder, command)
}

fn spawn(folder: &Path, mut command: Command) -> Run {
    let mut child = command
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    Run { child, said }
}

impl Run {
    /// Waits until a line begins with `words`. Returns whether one did.
    fn wait_for(&mut self, words: &str) -> bool {
        let mut line = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if line.starts_with(words) {
                return true;
            }
            line.clear();
        }
        false
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        // It may have ended by itself.
        let _ = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .stderr(Stdio::null())
            .status();
    }

    /// How it ended, and the rest of what it said.
    fn end(mut self) -> (ExitStatus, String) {
        let mut text = String::new();
        self.said.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap(), text)
    }
}

fn finish(folder: &Path, spec: &str) {
    let (status, text) = start(folder, spec).end();
    assert!(status.success(), "{text}");
}

/// Cuts the run a moment after the line that begins with `words`, and starts it again, until one gets to its end. The
/// moments grow, so that a busy machine only makes it take longer; every third cut is a kill. Returns how many cuts were
/// interruptions.
fn cut(folder: &Path, spec: &str, words: &str) -> usize {
    let mut interruptions = 0;
    let mut moment = Duration::from_millis(60);
    for number in 0..200 {
        let mut run = start(folder, spec);
        if run.wait_for(words) {
            std::thread::sleep(moment);
            moment = moment.mul_f64(1.05);
            run.signal(if number % 3 == 2 { "KILL" } else { "INT" });
        }
        let (status, text) = run.end();
        match status.code() {
            Some(0) => return interruptions,
            Some(130) => interruptions += 1,
            None => {}
            Some(_) => panic!("{text}"),
        }
    }
    panic!("200 starts were not enough");
}

/// The file of that name in the folder of the stage.
fn file(folder: &Path, stage: &str, name: &str) -> PathBuf {
    let stages = std::fs::read_dir(folder.join("results/a/stages")).unwrap();
    let mut stages = stages.map(|entry| entry.unwrap().path());
    let prefix = format!("{stage}-");
    let stage = stages.find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&prefix)
    });
    stage.unwrap().join(name)
}

/// The rows of `metrics.csv` without their timings, which are the last two columns.
fn rows(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| line.rsplitn(3, ',').last().unwrap().to_owned())
        .collect()
}

/// Compares the stage of a run that is cut with that of one that is not.
fn compare(stage: &str, spec: &str, files: &[&str], least: usize) {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = format!("{TRAINED}{spec}");
    finish(whole.path(), &spec);
    let interruptions = cut(broken.path(), &spec, &format!("{stage}: begins"));
    assert!(
        interruptions >= least,
        "cut {interruptions} times: shorten the moments"
    );
    if stage != "matrix" {
        let [one, other] =
            [&whole, &broken].map(|folder| rows(&file(folder.path(), stage, "metrics.csv")));
        assert_eq!(one, other);
    }
    for name in files {
        let [one, other] = [&whole, &broken]
            .map(|folder| std::fs::read(file(folder.path(), stage, name)).unwrap());
        assert!(one == other, "{name} differs");
    }
    assert!(!file(broken.path(), stage, "progress").exists());
}

#[test]
fn an_ensemble_of_attacks_ends_however_often_it_is_cut() {
    compare(
        "craft",
        "[[stage]]\nid = \"craft\"\ntask = \"attack\"\nmodel = { weights = \"@mlp\" }\n",
        &["examples.csv", "adversarial.safetensors"],
        4,
    );
}

#[test]
fn an_evaluation_ends_however_often_it_is_cut() {
    compare(
        "judge",
        "[[stage]]\nid = \"judge\"\ntask = \"evaluate\"\nmodel = { weights = \"@mlp\" }\n\
         evaluate = { attacks = [\"none\", \"apgd\", \"auto-attack\"], save_logits = true }\n",
        &["logits.safetensors"],
        4,
    );
}

#[test]
fn a_transfer_ends_however_often_it_is_cut() {
    compare(
        "matrix",
        "[[stage]]\nid = \"matrix\"\ntask = \"transfer\"\n[stage.transfer]\nattacks = [\"pgd\", \"auto-attack\"]\n\
         linbp = [false]\n[stage.transfer.models]\na = { arch = \"mlp\", widths = [30, 30], weights = \"@deep\" }\n\
         b = { arch = \"mlp\", widths = [40], weights = \"@mlp\" }\n[stage.attack]\nstep_size = 0.01\n",
        &[
            "transfer.csv",
            "transfer_examples.csv",
            "transfer_models.csv",
        ],
        4,
    );
}

/// Adversarial training whose attacks move the running statistics of the model.
const ADVERSARIAL: &str = r#"
name = "a"
task = "adversarial-train"
seed = 5
data = { kind = "shapes", batch_size = 16, eval_batch_size = 8, train_limit = 48, test_limit = 16 }
model = { arch = "mobilenet_v2" }
optimizer = { lr = 0.05, momentum = 0.9 }
train = { epochs = 1 }
attack = { kind = "pgd", epsilon = "8/255", step_size = "4/255", k = 10, model_mode = "train" }
evaluate = { attacks = ["none", "pgd"] }
"#;

fn results(folder: &Path) -> (Vec<String>, Vec<u8>) {
    let mut runs = std::fs::read_dir(folder.join("results/a")).unwrap();
    let run = runs.find_map(|run| {
        let path = run.unwrap().path();
        path.join("run.json").is_file().then_some(path)
    });
    let run = run.unwrap();
    let weights = std::fs::read(run.join("checkpoints/final.safetensors")).unwrap();
    (rows(&run.join("metrics.csv")), weights)
}

#[test]
fn a_step_that_is_cut_is_dropped_without_a_trace() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    finish(whole.path(), ADVERSARIAL);
    let mut delays = vec![1300, 1100, 900, 700];
    let mut interruptions = 0;
    while let Some(delay) = delays.pop() {
        let mut run = start(broken.path(), ADVERSARIAL);
        run.wait_for("main: begins");
        std::thread::sleep(Duration::from_millis(delay));
        run.signal("INT");
        interruptions += usize::from(run.end().0.code() == Some(130));
    }
    assert!(interruptions > 0, "shorten the delays");
    finish(broken.path(), ADVERSARIAL);
    let ((rows, weights), (expected, expected_weights)) =
        (results(broken.path()), results(whole.path()));
    assert_eq!(rows, expected);
    assert!(weights == expected_weights, "the weights differ");
}

#[test]
fn an_endless_step_is_left_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = start(folder.path(), &ADVERSARIAL.replace("k = 10", "k = 1000000"));
    run.wait_for("main: begins");
    std::thread::sleep(Duration::from_millis(1500));
    run.signal("INT");
    let begun = Instant::now();
    let (status, text) = run.end();
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(text.contains("interrupted: saving what was done"), "{text}");
}

/// A hang-up ends a run like Ctrl-C, unless it was started to ignore it.
#[test]
fn a_hang_up_that_was_ignored_stays_ignored() {
    let spec = ADVERSARIAL.replace("train_limit = 48", "train_limit = 32");
    for (action, code) in [(libc::SIG_IGN, 0), (libc::SIG_DFL, 130)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), &spec).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(["a.toml", "--device", "cpu"]);
        // SAFETY: between fork and exec, and signal may be called there.
        unsafe {
            command.pre_exec(move || {
                libc::signal(libc::SIGHUP, action);
                Ok(())
            });
        }
        let mut run = spawn(folder.path(), command);
        run.wait_for("main: begins");
        std::thread::sleep(Duration::from_millis(300));
        run.signal("HUP");
        let (status, text) = run.end();
        assert_eq!(status.code(), Some(code), "{text}");
    }
}
