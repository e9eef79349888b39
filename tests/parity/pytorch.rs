//! A Python with PyTorch, where there is one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use candle_core::Tensor;
use runner::weights::load_tensors;

use crate::interpreter::interpreter_for;

pub use crate::interpreter::say;

/// The interpreter, where it has PyTorch; a line says so where not.
pub fn interpreter() -> Option<PathBuf> {
    interpreter_for(
        "the comparison with PyTorch",
        &["torch", "safetensors.torch"],
    )
}

/// The same where it has further modules too; without, a line says that `what` is skipped.
pub fn interpreter_with(modules: &[&str], what: &str) -> Option<PathBuf> {
    interpreter()?;
    interpreter_for(what, modules)
}

/// A running script of tests/parity, which answers lines by lines and leaves files in a folder.
pub struct Script {
    name: String,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Script {
    /// Starts a script, which gets the folder and then the `further` arguments.
    pub fn start(python: &Path, name: &str, further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
        let mut child = Command::new(python)
            .arg(script.join(name))
            .arg(folder.path())
            .args(further)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            name: name.to_owned(),
            questions: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
            folder,
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// What it says to a line.
    pub fn ask(&mut self, question: &str) -> String {
        let questions = self.questions.as_mut().expect("it is open until the end");
        writeln!(questions, "{question}").unwrap();
        self.line()
    }

    /// Has it do what it is asked for, without anything to say of that.
    pub fn has_done(&mut self, question: &str) {
        let answer = self.ask(question);
        assert_eq!(answer, format!("done {question}"), "{} failed", self.name);
    }

    /// Ends it, and says whether it ended well.
    pub fn end(mut self) -> bool {
        drop(self.questions.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}

/// A running tests/parity/models.py.
pub struct PyTorch(Script);

impl PyTorch {
    /// One that computes on `device`, `cpu` or `cuda`.
    pub fn start(python: &Path, device: &str) -> Self {
        Self(Script::start(python, "models.py", &[device]))
    }

    /// The weights of an architecture, from a file that torch.save wrote, and what PyTorch computes with them.
    pub fn ask(&mut self, arch: &str) -> (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>) {
        self.0.has_done(arch);
        let read = |name: &str| {
            let path = self.0.folder().join(name);
            let tensors = load_tensors(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            tensors
        };
        (read("weights.pt"), read("reference.safetensors"))
    }
}
