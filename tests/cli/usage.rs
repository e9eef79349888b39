//! Help, bad usage, exit codes, pipes.

use std::process::Stdio;

use crate::program::{repository, run, runner, simulation, words};

#[test]
fn help_teaches() {
    let (code, out, _) = run(&repository(), &["--help"]);
    assert_eq!(code, 0);
    for words in [
        "Examples:",
        "--sweep",
        "Exit codes: 0 done, 1 failed, 2 bad usage or spec, 130",
        "check",
        "graph",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
}

#[test]
fn without_arguments_the_help_is_shown() {
    let (code, out, err) = run(&repository(), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("Usage: runner") && err.contains("Examples:"),
        "{err}"
    );
}

#[test]
fn bad_usage_and_bad_specs_exit_with_2() {
    let folder = simulation();
    for args in [
        &[][..],
        &["--jobs", "0", "sim.toml"],
        &["sim.toml", "--device", "gpu"],
        &["check"],
    ] {
        assert_eq!(run(folder.path(), args).0, 2, "{args:?}");
    }
    let (code, out, err) = run(
        folder.path(),
        &["sim.toml", "simulate.step=1", "simulate.repeats=0"],
    );
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: command line: simulate.repeats: expected a whole number from 1 to 1000000000, found 0\n\
         error: command line: simulate.step: unknown key; did you mean \"steps\"?\n"
    );
    assert!(
        !folder.path().join("results").exists(),
        "nothing is written for a bad spec"
    );
    let (code, _, err) = run(folder.path(), &["none.toml"]);
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "error: none.toml: cannot read: No such file or directory (os error 2)\n"
        )
    );
}

#[test]
fn a_closed_pipe_is_quiet() {
    for args in [&["completions", "bash"][..], &["models", "mobilenet_v2"]] {
        let mut child = runner(&repository(), args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let (code, _, err) = words(child.wait_with_output().unwrap());
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_spec_named_like_a_command_is_reachable() {
    let folder = simulation();
    std::fs::rename(folder.path().join("sim.toml"), folder.path().join("check")).unwrap();
    let (code, out, _) = run(folder.path(), &["./check", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(out.contains("results/sim/"), "{out}");
}

#[test]
fn keys_are_explained_by_section_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |name: &str| run(folder.path(), &["keys", name]);
    let (code, out, _) = keys("checkpoint");
    assert_eq!(code, 0);
    assert!(out.starts_with("[checkpoint]\n  every  "), "{out}");
    assert_eq!(out.lines().count(), 3, "{out}");
    for name in ["attack.epsilon", "epsilon"] {
        let (_, out, _) = keys(name);
        assert!(out.contains("Radius of the ball"), "{out}");
    }
    let (code, _, err) = keys("epsilom");
    assert!(
        code == 2 && err.contains("did you mean \"epsilon\"?"),
        "{err}"
    );
    let (_, all, _) = run(folder.path(), &["keys"]);
    for section in ["data", "model", "train", "transfer"] {
        assert!(all.contains(&format!("[{section}]\n")), "{section}");
    }
}
