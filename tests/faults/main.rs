//! A study that random faults hit, start after start, ends with the same tensors and the same rows as one that nothing
//! happened to, and leaves no other files.
//!
//! `cargo test --release --test faults` has some faults; `RUNNER_FAULTS=1000 RUNNER_FAULT_SEED=7` says how many, and which.
//! As root the study lies on a small disk of its own, which can be full and read-only.

#![cfg(target_os = "linux")]

mod fault;
mod folder;
mod study;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fault::{Damage, Disk, Ending, harm, strike};
use folder::{Left, left};
use study::EXPERIMENTS;

/// Faults of an ordinary run of the tests.
const FEW: usize = 25;

/// A line that the test harness does not swallow.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn write_specs(folder: &Path) {
    for (file, text) in EXPERIMENTS {
        fs::write(folder.join(file), text).unwrap();
    }
}

/// Carries an experiment to its end; how long that took, and what it said.
fn finish(folder: &Path, spec: &str) -> (Duration, String) {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    let output = command.current_dir(folder).arg(spec).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{spec}: {said}");
    (begun.elapsed(), said)
}

/// A file that differs, with what it holds where that is text.
fn told(path: &Path, now: &[u8], whole: &[u8]) -> String {
    let is_text = path
        .extension()
        .is_some_and(|ending| ending == "csv" || ending == "svg");
    let [now, whole] = [now, whole].map(String::from_utf8_lossy);
    match is_text {
        true => format!(
            "{} differs:\n{now}\nwithout faults:\n{whole}",
            path.display()
        ),
        false => format!("{} differs", path.display()),
    }
}

#[test]
fn a_study_survives_faults() {
    let (faults, seed) = (number("RUNNER_FAULTS", FEW), number("RUNNER_FAULT_SEED", 1));
    let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
    let whole = tempfile::tempdir().unwrap();
    write_specs(whole.path());
    let lengths = EXPERIMENTS.map(|(spec, _)| finish(whole.path(), spec).0);
    let expected = left(whole.path());
    let (mut done, mut passes, mut slowest) = (0, 0, Duration::ZERO);
    while done < faults {
        let hit = tempfile::tempdir().unwrap();
        let disk = Disk::mount(hit.path());
        if disk.is_none() && passes == 0 {
            say("no disk of its own: it cannot be full or read-only here");
        }
        write_specs(hit.path());
        let (mut history, mut damaged) = (Vec::new(), HashSet::new());
        for ((spec, _), length) in EXPERIMENTS.iter().zip(lengths) {
            // Some pass without any, and no experiment has all of them.
            for _ in 0..rng.random_range(0..20u32) {
                let ending = match rng.random_range(0..10u32) {
                    0..=3 => Ending::Kill,
                    4 | 5 => Ending::Terminate,
                    6 => Ending::Interrupt,
                    7 => Ending::NoRoom(rng.random_range(1..80)),
                    8 => Ending::FullDisk,
                    _ => Ending::ReadOnly,
                };
                let after = length.mul_f64(rng.random_range(0.02..1.1));
                let damage = match rng.random_range(0..10u32) {
                    0 => Damage::Flip,
                    1 => Damage::Truncate,
                    2 | 3 => Damage::Tear,
                    4 => Damage::Clock,
                    _ => Damage::None,
                };
                history.push(format!(
                    "{spec}: {ending:?} after {after:?}, then {damage:?}"
                ));
                let is_finished = strike(hit.path(), spec, ending, after, disk.as_ref());
                done += 1;
                if is_finished {
                    break;
                }
                harm(hit.path(), damage, &mut damaged, &mut rng);
                done += usize::from(!matches!(damage, Damage::None));
            }
            let (took, _) = catch_unwind(AssertUnwindSafe(|| finish(hit.path(), spec)))
                .unwrap_or_else(|_| panic!("seed {seed}, pass {passes}:\n{}", history.join("\n")));
            slowest = slowest.max(took.saturating_sub(length));
        }
        let found = left(hit.path());
        let history = history.join("\n");
        let missing = |one: &Left, other: &Left| -> Vec<PathBuf> {
            let paths = one.keys().filter(|path| !other.contains_key(*path));
            paths.cloned().collect()
        };
        let (lost, extra) = (missing(&expected, &found), missing(&found, &expected));
        assert!(
            lost.is_empty() && extra.is_empty(),
            "lost {lost:?}, left over {extra:?}: seed {seed}, pass {passes}:\n{history}"
        );
        let differing = expected
            .iter()
            .filter(|(path, content)| found[*path] != **content);
        let differing: Vec<String> = differing
            .map(|(path, content)| told(path, &found[path], content))
            .collect();
        assert!(
            differing.is_empty(),
            "seed {seed}, pass {passes}:\n{history}\n{}",
            differing.join("\n")
        );
        passes += 1;
    }
    say(&format!(
        "{done} faults in {passes} passes, seed {seed}: the same {} files; the slowest end took {:.1} s longer than a whole run",
        expected.len(),
        slowest.as_secs_f64()
    ));
}
