//! `runner data get` from outside.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::server::{Answer, Server};
use crate::sets::names;

fn runner(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_command_says_what_failed_and_what_to_do() {
    let server = Server::new(BTreeMap::from([(
        "/mirror/train-images-idx3-ubyte.gz",
        Answer::Good(b"not MNIST".to_vec()),
    )]));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_str().unwrap();
    let mirror = server.url("/mirror/");
    let (code, out, err) = runner(&["data", "get", "mnist", "--dir", to, "--mirror", &mirror]);
    assert_eq!((code, out.as_str()), (1, ""));
    for words in [
        "fetching: http://127.0.0.1",
        "wrong checksum: MD5 ",
        "error: train-images-idx3-ubyte.gz: no mirror has it:",
        "with --from FILE, or name a mirror with --mirror URL",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    assert!(names(dir.path()).is_empty());
    let (code, _, err) = runner(&["data", "get", "mnist", "--dir", to, "--mirror", "ftp://x"]);
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "error: --mirror ftp://x: expected an address that begins with https:// or http://\n"
    );
    let (code, _, err) = runner(&["data", "get", "imagenet"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("possible values: cifar10, cifar100, mnist, svhn"),
        "{err}"
    );
}

/// Real files where a developer has them: MNIST in the form that some mirrors and other tools leave it.
#[test]
fn real_files_are_recognised() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    if !from.is_dir() {
        // Past the capture of the test harness: a skipped test must be seen.
        writeln!(std::io::stderr(), "skipped: no real data in ../shared/data").unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = runner(&[
        "data",
        "get",
        "mnist",
        "--from",
        from.to_str().unwrap(),
        "--dir",
        dir.path().to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.matches(": verified, from ").count(), 4, "{out}");
    assert_eq!(names(dir.path()).len(), 4);
    let spec = dir.path().join("a.toml");
    let text = format!(
        "task = \"train\"\ndata = {{ kind = \"mnist\", dir = \"{}\" }}\nmodel.arch = \"mlp\"\noptimizer.lr = 0.1\n\
         train.epochs = 1\n",
        dir.path().display()
    );
    fs::write(&spec, text).unwrap();
    let (code, out, err) = runner(&["data", "info", spec.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains(
            "train: 60000 images of 1x28x28 (channels x height x width); 0 5923, 1 6742, 2 5958, "
        ),
        "{out}"
    );
    assert!(
        out.contains("test: 10000 images of 1x28x28 (channels x height x width); 0 980, 1 1135, "),
        "{out}"
    );
    assert!(
        out.contains("train pixels in [0, 1], by channel: mean [0.1307], std [0.3081]"),
        "{out}"
    );
}
