//! The program itself with `--device cuda`.

use std::process::Command;

use crate::card;

#[test]
fn every_task_runs_on_the_card() {
    let Some(_turn) = card() else { return };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let results = tempfile::tempdir().unwrap();
    for (spec, overrides) in [
        ("quickstart.toml", &[][..]),
        ("quickstart.toml", &["precision=bf16"][..]),
        (
            "quickstart.toml",
            &[
                "model.arch=resnet18",
                "attack.norm=l2",
                "attack.epsilon=0.5",
            ][..],
        ),
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(root)
            .arg(root.join("experiments").join(spec))
            .args(overrides)
            .args(["--smoke", "--device", "cuda", "--fresh", "--results"])
            .arg(results.path())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{spec} {overrides:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    // Without the feature the tests stop at `card`; with it, `run.json` says where and how exactly.
    let found = walk(results.path());
    assert!(
        found
            .iter()
            .any(|text| text.contains("\"device\": \"cuda:0") && text.contains("tf32")),
        "{found:?}"
    );
    assert!(found.iter().any(|text| text.contains("bf16")), "{found:?}");
}

/// The texts of all `run.json` below a folder.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts.extend(walk(&path));
        } else if path.ends_with("run.json") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
    texts
}
