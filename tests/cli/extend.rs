//! `--extend`: a longer training takes up where a finished one of fewer epochs ended.

use std::path::{Path, PathBuf};

use crate::program::{run, runs};

const LEARN: &str = r#"
    name = "learn"
    task = "train"
    data = { kind = "digits", train_limit = 200, test_limit = 50, batch_size = 50 }
    model = { arch = "mlp" }
    optimizer = { lr = 0.1, momentum = 0.9 }
    train = { epochs = 2 }
"#;

const STAGED: &str = r#"
    name = "learn"
    data = { kind = "digits", train_limit = 200, test_limit = 50, batch_size = 50 }
    model = { arch = "mlp" }
    [[stage]]
    id = "train"
    task = "train"
    optimizer = { lr = 0.1, momentum = 0.9 }
    train = { epochs = 2 }
    [[stage]]
    id = "judge"
    task = "evaluate"
    model = { weights = "@train" }
"#;

/// The files of this name below a folder, oldest path first.
fn below(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(below(&path, name));
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn contents(folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let paths = below(folder, name);
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn an_extended_training_ends_as_one_from_the_beginning() {
    for (spec, epochs) in [
        (LEARN, "train.epochs=4"),
        (STAGED, "stage.train.train.epochs=4"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("learn.toml"), spec).unwrap();
        assert_eq!(run(folder, &["learn.toml"]).0, 0);
        let (code, _, err) = run(folder, &["learn.toml", epochs, "--extend"]);
        assert_eq!(code, 0, "{err}");
        assert!(err.contains("goes on from the 2 epochs of "), "{err}");
        assert!(err.contains("resuming at epoch 3 of 4"), "{err}");
        // The same by another name is no run of this name: it begins at the beginning.
        let (code, _, err) = run(folder, &["learn.toml", epochs, "name=anew", "--extend"]);
        assert_eq!(code, 0, "{err}");
        assert!(!err.contains("resuming"), "{err}");
        let whole = contents(&folder.join("results/anew"), "final.safetensors");
        let extended = contents(&folder.join("results/learn"), "final.safetensors");
        assert_eq!((whole.len(), extended.len()), (1, 2));
        assert!(extended.contains(&whole[0]), "other weights");
        // The shorter training stands as it was.
        let (_, out, _) = run(folder, &["learn.toml"]);
        assert!(out.contains("finished before"), "{out}");
        assert_eq!(runs(folder, "learn").len(), 2);
    }
}

#[test]
fn without_being_asked_it_says_that_it_could() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("learn.toml"), LEARN).unwrap();
    assert_eq!(run(folder, &["learn.toml"]).0, 0);
    let (code, _, err) = run(folder, &["learn.toml", "train.epochs=3"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("begins anew; --extend would go on from the 2 epochs of "),
        "{err}"
    );
    // What differs in more than its epochs is another training.
    let (_, _, err) = run(
        folder,
        &[
            "learn.toml",
            "train.epochs=3",
            "optimizer.lr=0.2",
            "--extend",
        ],
    );
    assert!(!err.contains("goes on"), "{err}");
}

#[test]
fn rates_that_depend_on_the_length_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("learn.toml"), LEARN).unwrap();
    let cosine = "scheduler.kind=cosine";
    assert_eq!(run(folder, &["learn.toml", cosine]).0, 0);
    let longer = ["learn.toml", cosine, "train.epochs=3", "--extend"];
    let (code, _, err) = run(folder, &longer);
    assert_eq!(code, 1);
    assert!(
        err.contains("had other learning rates: over 3 epochs scheduler.kind = \"cosine\" departs from them in epoch 2"),
        "{err}"
    );
    // Nothing is in the way of training from the beginning.
    assert_eq!(run(folder, &longer[..3]).0, 0);
}
