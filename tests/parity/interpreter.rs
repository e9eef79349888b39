//! The Python that tests ask, where there is one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes a line that the test harness does not swallow.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("standard output is open");
}

/// The interpreter: `RUNNER_PYTHON`, else the checkout's `.venv`. None, and a line that says that `what` is skipped, where it
/// or one of the modules is missing.
pub fn interpreter_for(what: &str, modules: &[&str]) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = match std::env::var_os("RUNNER_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root.join(".venv/bin/python"),
    };
    let mut probe = Command::new(&python);
    probe.args(["-c", &format!("import {}", modules.join(", "))]);
    let status = probe.stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    let (last, others) = modules.split_last().expect("modules are named");
    let words = match others {
        [] => last.to_string(),
        others => format!("{} and {last}", others.join(", ")),
    };
    say(&format!(
        "SKIPPED {what}: {} has no {words}; set RUNNER_PYTHON to a Python that has",
        python.display()
    ));
    None
}
