//! The built program, started in a folder, and what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn runner(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command
        .current_dir(folder)
        .args(args)
        .env_remove("RUNNER_SEED");
    command
}

pub fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    words(runner(folder, args).output().unwrap())
}

pub fn words(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

pub fn repository() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// A folder with a small simulation, `sim.toml`.
pub fn simulation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"sim\"\ntask = \"simulate\"\n[simulate]\nkind = \"two-layer-attack\"\nrepeats = 2\nsteps = 5\n";
    std::fs::write(folder.path().join("sim.toml"), text).unwrap();
    folder
}

/// The folders of the runs of a name.
pub fn runs(folder: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("results").join(name)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("run.json").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
