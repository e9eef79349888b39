//! A Python with PyTorch, where there is one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use candle_core::Tensor;
use runner::weights::load_tensors;

/// Writes a line that the test harness does not swallow.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("standard output is open");
}

/// The interpreter: `RUNNER_PYTHON`, else the checkout's `.venv`. None, and a line that says so, where it or its torch
/// is missing.
pub fn interpreter() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = match std::env::var_os("RUNNER_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root.join(".venv/bin/python"),
    };
    let probe = Command::new(&python)
        .args(["-c", "import torch, safetensors.torch"])
        .stderr(Stdio::null())
        .status();
    if probe.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    say(&format!(
        "SKIPPED the comparison with PyTorch: {} has no torch and safetensors; set RUNNER_PYTHON to a Python that has",
        python.display()
    ));
    None
}

/// A running tests/parity/models.py.
pub struct PyTorch {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl PyTorch {
    /// One that computes on `device`, `cpu` or `cuda`.
    pub fn start(python: &Path, device: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/models.py");
        let mut child = Command::new(python)
            .args([script.as_os_str(), folder.path().as_os_str()])
            .arg(device)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            questions: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
            folder,
        }
    }

    /// The weights of an architecture, from a file that torch.save wrote, and what PyTorch computes with them.
    pub fn ask(&mut self, arch: &str) -> (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>) {
        let questions = self.questions.as_mut().expect("it is open until the end");
        writeln!(questions, "{arch}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("done {arch}\n"), "models.py failed");
        let read = |name: &str| {
            let path = self.folder.path().join(name);
            let tensors = load_tensors(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            tensors
        };
        (read("weights.pt"), read("reference.safetensors"))
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}
