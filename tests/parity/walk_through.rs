//! The files and commands of docs/pytorch.md, as they stand.

use std::path::Path;
use std::process::Command;

use crate::pytorch::{interpreter, say};

#[test]
fn walk_through() {
    let Some(python) = interpreter() else {
        return;
    };
    let probe = Command::new(&python)
        .args(["-c", "import onnx, onnxruntime"])
        .output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        say("SKIPPED docs/pytorch.md: this Python has no onnx and onnxruntime");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/pytorch.md")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_runner"));
    let first = [&python, program].map(|path| path.parent().unwrap().to_owned());
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = first.into_iter().chain(std::env::split_paths(&others));
    let path = std::env::join_paths(path).unwrap();
    let mut commands = 0;
    // What stands between fences, and the text between those.
    for block in page.split("```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        if language != "sh" {
            let name = text.lines().next().unwrap().strip_prefix("# ").unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
            continue;
        }
        commands += text.lines().count();
        let done = Command::new("sh")
            .args(["-ec", text])
            .current_dir(folder.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].concat();
        assert!(
            done.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&said)
        );
    }
    assert_eq!(commands, 7);
}
