//! The program struck at each of its writes, renames, removals and syncs, one after the other.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::program::{SPEC, command, finish, folder, left, said, temporary};

const SIGKILL: i32 = 9;
const SIGINT: i32 = 2;

/// Where to strike.
#[derive(Clone, Copy, Debug)]
struct Strike {
    at: usize,
    /// In the middle of a write, not before it.
    half: bool,
    signal: i32,
}

/// The library that strikes, compiled once; `None`, and a line that says so, where there is no C compiler.
fn library(folder: &Path) -> Option<PathBuf> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no C compiler (cc, or the one that CC names), so no run is killed at its system calls"
        );
        return None;
    }
    let library = folder.join("crash.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/crash.c");
    let done = Command::new(&compiler)
        .args(["-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    Some(library)
}

/// Starts the command in `folder` with the library in it. Gives the calls that it made, too.
fn struck(library: &Path, folder: &Path, strike: Option<Strike>) -> (Output, Vec<String>) {
    let log = folder.join("calls");
    let mut command = command(folder);
    command
        .env("LD_PRELOAD", library)
        .env(
            "CRASH_UNDER",
            folder.canonicalize().unwrap().join("results"),
        )
        .env("CRASH_LOG", &log);
    if let Some(strike) = strike {
        command.env("CRASH_AT", strike.at.to_string());
        command.env("CRASH_SIGNAL", strike.signal.to_string());
        if strike.half {
            command.env("CRASH_HALF", "1");
        }
    }
    let output = command.output().unwrap();
    let calls = fs::read_to_string(&log).unwrap_or_default();
    (output, calls.lines().map(str::to_owned).collect())
}

/// Strikes a run at each of the points that `choose` makes of the calls of a whole run, starts the command again, and
/// compares what is left with what the whole run left.
fn compare(
    spec: &str,
    choose: impl Fn(&[String]) -> Vec<Strike>,
    ended: impl Fn(&Output, Strike) + Sync,
) {
    let whole = folder(spec);
    let Some(library) = library(whole.path()) else {
        return;
    };
    let (output, calls) = struck(&library, whole.path(), None);
    assert!(output.status.success(), "{}", said(&output));
    let expected = left(whole.path());
    let strikes = choose(&calls);
    assert!(calls.len() > 50, "{calls:?}");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(&strike) = strikes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let struck_run = folder(spec);
                    let (output, mine) = struck(&library, struck_run.path(), Some(strike));
                    let call = mine.get(strike.at - 1);
                    ended(&output, strike);
                    let again = finish(struck_run.path());
                    let found = left(struck_run.path());
                    assert!(
                        found == expected,
                        "{strike:?}, {call:?}\nfound {found:#?}\nexpected {expected:#?}\n{again}"
                    );
                    assert!(!again.contains("WARN"), "{strike:?}, {call:?}: {again}");
                    let leftovers = temporary(struck_run.path());
                    assert!(leftovers.is_empty(), "{strike:?}, {call:?}: {leftovers:?}");
                }
            });
        }
    });
}

/// 1, every point, unless `RUNNER_CRASH_EVERY` says to take only every n-th.
fn every() -> usize {
    let said = std::env::var("RUNNER_CRASH_EVERY").ok();
    said.map_or(1, |said| said.parse().expect("a number"))
}

#[test]
fn a_run_killed_at_any_call_ends_the_same() {
    compare(
        SPEC,
        |calls| {
            let before = (1..=calls.len()).map(|at| (at, false));
            let writes = (1..)
                .zip(calls)
                .filter(|(_, call)| call.starts_with("write"));
            let points = before.chain(writes.map(|(at, _)| (at, true)));
            let strikes = points.map(|(at, half)| Strike {
                at,
                half,
                signal: SIGKILL,
            });
            strikes.step_by(every()).collect()
        },
        was_killed,
    );
}

fn was_killed(output: &Output, strike: Strike) {
    use std::os::unix::process::ExitStatusExt;
    let signal = output.status.signal();
    assert_eq!(signal, Some(SIGKILL), "{strike:?}: {}", said(output));
}

/// Nothing but the first checkpoint itself says that it is the best.
#[test]
fn the_first_checkpoint_stays_the_best_where_nothing_names_it_yet() {
    let spec = SPEC
        .replace("[2]", "[1]")
        .replace("epochs = 3", "epochs = 2");
    compare(
        &spec,
        |calls| {
            let first = renamed(calls, "/e0001-");
            let around = first - 2..first + 14;
            let strikes = around.map(|at| Strike {
                at,
                half: false,
                signal: SIGKILL,
            });
            strikes.collect()
        },
        was_killed,
    );
    let whole = folder(&spec);
    finish(whole.path());
    let whole = left(whole.path());
    assert!(
        whole.names_as_best("e0001-s00000004.safetensors"),
        "{whole:#?}"
    );
}

/// An average of the weights goes on too, and its evaluation after that of the weights.
#[test]
fn a_run_with_an_average_killed_at_any_call_ends_the_same() {
    let average = "epochs = 3\naverage = { kind = \"ema\", decay = 0.9, start = 1 }";
    compare(
        &SPEC.replace("epochs = 3", average),
        |calls| {
            let strikes = (1..=calls.len()).map(|at| Strike {
                at,
                half: false,
                signal: SIGKILL,
            });
            strikes.step_by(every()).collect()
        },
        was_killed,
    );
}

/// The number of the call that gave a file its name.
fn renamed(calls: &[String], name: &str) -> usize {
    let found = |call: &String| call.starts_with("rename ") && call.contains(name);
    1 + calls.iter().position(found).expect("such a file")
}

/// Ctrl-C anywhere: also in the epoch of the best accuracy, after its checkpoint and before the next step.
#[test]
fn a_run_interrupted_at_any_call_ends_the_same() {
    compare(
        SPEC,
        |calls| {
            let strikes = (1..=calls.len()).map(|at| Strike {
                at,
                half: false,
                signal: SIGINT,
            });
            strikes.step_by(every()).collect()
        },
        |output, strike| {
            let code = output.status.code();
            assert!(
                code == Some(0) || code == Some(130),
                "{strike:?}: {}",
                said(output)
            );
        },
    );
}

/// Killed between the checkpoint of the best epoch and what names it, then interrupted while it takes that checkpoint up
/// and before its next step.
#[test]
fn a_run_that_is_cut_again_and_again_keeps_its_best_checkpoint() {
    let (whole, broken) = (folder(SPEC), folder(SPEC));
    let Some(library) = library(whole.path()) else {
        return;
    };
    let (output, calls) = struck(&library, whole.path(), None);
    assert!(output.status.success(), "{}", said(&output));
    let strike = |at, signal| {
        let strike = Strike {
            at,
            half: false,
            signal,
        };
        struck(&library, broken.path(), Some(strike)).0
    };
    let output = strike(renamed(&calls, "/e0002-") + 1, SIGKILL);
    assert!(!output.status.success(), "{}", said(&output));
    for at in 8..15 {
        let output = strike(at, SIGINT);
        assert_eq!(output.status.code(), Some(130), "{at}: {}", said(&output));
    }
    finish(broken.path());
    let (found, expected) = (left(broken.path()), left(whole.path()));
    assert!(
        found == expected,
        "found {found:#?}\nexpected {expected:#?}"
    );
    assert!(
        found.names_as_best("e0002-s00000008.safetensors"),
        "{found:#?}"
    );
}
