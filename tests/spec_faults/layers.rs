//! Faults of the command line, of files and of sweeps.

use std::path::Path;

use runner::experiment::plan;
use runner::spec::Request;

use crate::harness::{TRAIN, faults};

#[test]
fn the_command_line_is_named() {
    for (given, expected) in [
        (
            "optimizer.lr=0",
            "command line: optimizer.lr: expected a number above 0, found 0",
        ),
        (
            "optimizer.rl=1",
            "command line: optimizer.rl: unknown key; did you mean \"lr\"?",
        ),
        (
            "optimiser.lr=1",
            "command line: optimiser: unknown key; did you mean \"optimizer\"?",
        ),
        (
            "optimizer=1",
            "command line: optimizer: expected a table, found 1",
        ),
        (
            "lr",
            "command line: lr: expected KEY=VALUE, such as attack.k=10, found \"lr\"",
        ),
        (
            "stage.a.seed=1",
            "command line: stage.a: this spec lists no [[stage]]",
        ),
        (
            "sweep.seed=[1]",
            "command line: sweep.seed: is set by --sweep KEY=V1,V2",
        ),
    ] {
        assert_eq!(faults(TRAIN, &[given], &[]), [expected], "{given}");
    }
}

#[test]
fn files_that_are_no_specs() {
    assert!(faults("a = = 1", &[], &[])[0].starts_with("a.toml:1: not valid TOML: "));
    assert_eq!(
        faults("extends = \"base.toml\"", &[], &[]),
        ["a.toml:1: extends: base.toml: cannot read: No such file or directory (os error 2)"]
    );
    let empty = "a.toml:1: extends: expected the path of a spec in quotes, found \"\"";
    assert!(
        faults("extends = \"\"", &[], &[])
            .iter()
            .any(|line| line == empty)
    );
    assert_eq!(
        faults("extends = \"a.toml\"", &[], &[]),
        ["a.toml:1: extends: a.toml: extends itself in a circle"]
    );
    let missing = plan(&Request {
        spec: Path::new("no/such.toml").into(),
        ..Request::default()
    });
    assert_eq!(
        missing.unwrap_err().to_string(),
        "no/such.toml: cannot read: No such file or directory (os error 2)"
    );
    assert!(
        faults(&format!("#{}", "x".repeat(2 << 20)), &[], &[])[0]
            .contains("a spec has at most 1048576 bytes")
    );
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    std::fs::write(&spec, b"task = \"\xff\"").unwrap();
    let request = |spec: &Path| Request {
        spec: spec.to_path_buf(),
        ..Request::default()
    };
    let message = plan(&request(&spec)).unwrap_err().to_string();
    assert!(
        message.ends_with("a.toml: not UTF-8 text (byte 8)"),
        "{message}"
    );
    if cfg!(unix) {
        let message = plan(&request(Path::new("/dev/zero")))
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "/dev/zero: is no plain file; expected a spec, a TOML file"
        );
        // Nothing will ever write to it.
        let pipe = folder.path().join("pipe.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let message = plan(&request(&pipe)).unwrap_err().to_string();
        assert!(message.ends_with("pipe.toml: is no plain file; expected a spec, a TOML file"));
    }
    let message = plan(&request(folder.path())).unwrap_err().to_string();
    assert!(
        message.ends_with(": is a folder; expected a spec, a TOML file"),
        "{message}"
    );
}

#[test]
fn sweeps_are_refused_in_words() {
    for (sweep, expected) in [
        (
            "seed = []",
            "a.toml:11: sweep.seed: an empty list makes no runs; write at least one value",
        ),
        (
            "seed = 5",
            "a.toml:11: sweep.seed: expected a list of values, found 5",
        ),
        (
            "seed = [1, 1]",
            "a.toml:11: sweep.seed: the value 1 appears twice",
        ),
        (
            "\"optimizer.rl\" = [1]",
            "a.toml:11: optimizer.rl: unknown key; did you mean \"lr\"?",
        ),
        (
            "optimizer.lr = [1, 0]",
            "a.toml:11: optimizer.lr: expected a number above 0, found 0",
        ),
        ("name = [\"a\"]", "a.toml:11: sweep.name: cannot be swept"),
        (
            "optimizer.lr = [1, 1.0]",
            "sweep: optimizer.lr=1 and optimizer.lr=1.0 are the same run",
        ),
        (
            "seed = [1, 2]\nzip = [[\"seed\", \"train.epochs\"]]",
            "a.toml:12: sweep.zip: \"train.epochs\" is not swept here",
        ),
        (
            "seed = [1, 2]\n\"train.epochs\" = [1]\nzip = [[\"seed\", \"train.epochs\"]]",
            "a.toml:13: sweep.zip: pairs lists of one length, and \"seed\" has 2 values, \"train.epochs\" 1",
        ),
        (
            "seed = [1, 1]\n\"train.epochs\" = [2, 2]\nzip = [[\"seed\", \"train.epochs\"]]",
            "a.toml:11: sweep.seed: the values 1, 2 appear twice together",
        ),
        (
            "seed = [1]\nexclude = [{ seed = 2 }]",
            "a.toml:12: sweep.exclude: \"seed\" never is 2",
        ),
        (
            "seed = [1]\nexclude = [{ seed = 1 }]",
            "a.toml:11: sweep.exclude: leaves out every run",
        ),
        (
            "seed = { from = 1, to = 4 }",
            "a.toml:11: sweep.seed: a range without n is drawn from: sweep.sample says how often",
        ),
        (
            "seed = { from = 1, to = 4, n = 3 }",
            "a.toml:11: sweep.seed: 3 whole numbers from 1 to 4 are not evenly spaced; write 1.0 for fractions",
        ),
        (
            "seed = [1, 2]\nseeds = 3",
            "a.toml:12: sweep.seeds: the seed is swept by a list already",
        ),
        (
            "seeds = 0",
            "a.toml:11: sweep.seeds: expected how many seeds every point runs with, 1 to 10000, found 0",
        ),
        (
            "seed = [1, 2]\nsample = 2",
            "a.toml:11: sweep.sample: 2 of 2 combinations is no sample; leave it out",
        ),
        (
            "seed = [1, 2]\nsample = \"all\"",
            "a.toml:12: sweep.sample: expected how many points are drawn, up to 10000, such as sample = { n = 20, seed = 0 }, found \"all\"",
        ),
        (
            "seed = [1, 2]\nonly = [{ where = { seed = 3 }, \"train.epochs\" = [1] }]",
            "a.toml:12: sweep.only: \"seed\" never is 3",
        ),
        (
            "seed = [1, 2]\nonly = [{ \"train.epochs\" = [1] }]",
            "a.toml:12: sweep.only: expected a list of tables, such as only = [{ where = { \"attack.kind\" = \"pgd\" }, \
             \"attack.k\" = [5, 20] }], found no \"where\"",
        ),
    ] {
        assert_eq!(
            faults(&format!("{TRAIN}[sweep]\n{sweep}\n"), &[], &[]),
            [expected],
            "{sweep}"
        );
    }
    let numbers = |count: usize| {
        (0..count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(
        faults(
            TRAIN,
            &[],
            &[
                &format!("seed={}", numbers(101)),
                &format!("train.epochs={}", numbers(101)[2..].to_owned())
            ]
        ),
        ["command line: sweep: makes 10100 runs, more than the 10000 that one sweep may have"]
    );
    assert_eq!(
        faults(TRAIN, &["seed=1"], &["seed=1,2"]),
        ["command line: seed: is both set to one value and swept"]
    );
}

#[test]
fn the_launcher_is_checked() {
    for (text, expected) in [
        (
            "partion = \"gpu\"",
            "a.toml:10: launcher: partion: unknown key; did you mean \"partition\"?",
        ),
        (
            "cpus = \"many\"",
            "a.toml:10: launcher: cpus: expected a whole number, found \"many\"",
        ),
        (
            "time = \"8 hours\"",
            "a.toml:10: launcher: expected words without spaces, found \"8 hours\"",
        ),
    ] {
        assert_eq!(
            faults(&format!("{TRAIN}[launcher]\n{text}\n"), &[], &[]),
            [expected],
            "{text}"
        );
    }
}
