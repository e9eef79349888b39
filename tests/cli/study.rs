//! The life of a study: runs that fail and are run again, lists of some runs, runs that are stopped and set aside.

use std::process::Stdio;

use crate::program::{run, runner, runs, simulation, words};

/// Three runs, of which the one with steps too long fails.
const SWEEP: [&str; 5] = [
    "sim.toml",
    "simulate.step_rule=raw",
    "simulate.epsilon=1e300",
    "--sweep",
    "simulate.step_size=0.1,1e300,0.2",
];

#[test]
fn failed_runs_are_listed_chosen_and_set_aside() {
    let folder = simulation();
    let folder = folder.path();
    let (code, _, err) = run(folder, &[&SWEEP[..], &["--retry", "2"]].concat());
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("simulate.step_size=1e300: failed, again (2 of 2): "),
        "{err}"
    );

    let list = |args: &[&str]| run(folder, &[&["list", "sim"], args].concat());
    let (_, out, _) = list(&["--where", "state=failed"]);
    assert!(
        out.lines().count() == 2 && out.contains("simulate.step_size=1e300"),
        "{out}"
    );
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let (_, out, _) = list(&[
        "--where",
        "simulate.step_size<0.5",
        "--sort",
        "simulate.step_size",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].starts_with("simulate.step_size=0.1-"),
        "{out}"
    );
    let (code, _, err) = list(&["--best", "test_acuracy"]);
    assert!(
        code == 2 && err.contains("test_acuracy: no run has such a metric or setting"),
        "{err}"
    );

    // Failed runs alone are run again, and nothing is missing.
    let (code, _, err) = run(folder, &[&SWEEP[..], &["--only", "failed"]].concat());
    assert!(code == 1 && !err.contains("0.1"), "{err}");
    let (code, out, _) = run(folder, &[&SWEEP[..], &["--only", "missing"]].concat());
    assert_eq!((code, out.as_str()), (0, "sim: no run is missing\n"));

    // Those that are finished tell how long the others will take.
    let (_, out, _) = run(folder, &[&SWEEP[..], &["--dry-run"]].concat());
    assert!(out.contains("\n3 runs\n1 to be done, "), "{out}");
    assert!(out.contains(" expected: finished ones (2) took "), "{out}");

    // What is set aside is missing, and lies in earlier/.
    let failed = runs(folder, "sim")
        .into_iter()
        .find(|name| name.contains("1e"))
        .unwrap();
    let (code, out, err) = run(folder, &["rm", "sim", "--where", "state=failed"]);
    assert_eq!(
        (code, out),
        (0, format!("results/sim/earlier/{failed}.1\n")),
        "{err}"
    );
    assert_eq!(runs(folder, "sim").len(), 2);
    let (_, out, _) = run(
        folder,
        &[&SWEEP[..], &["--only", "missing", "--dry-run"]].concat(),
    );
    assert!(out.lines().next().unwrap().ends_with(": new"), "{out}");
    let hash = runs(folder, "sim")[0]
        .rsplit_once('-')
        .unwrap()
        .1
        .to_owned();
    assert_eq!(run(folder, &["rm", "sim", &hash]).0, 0);
    assert_eq!(runs(folder, "sim").len(), 1);
    let (code, _, err) = run(folder, &["rm", "sim", &hash]);
    assert!(
        code == 2 && err.contains(&format!("no run {hash}")),
        "{err}"
    );
}

#[test]
fn points_come_from_a_table_and_their_ends_go_out_as_json() {
    let folder = simulation();
    let folder = folder.path();
    let points = folder.join("points.csv");
    std::fs::write(&points, "simulate.step_size,seed\n0.1,4\n1e300,5\n0.2,6\n").unwrap();
    let command = [
        "sim.toml",
        "simulate.step_rule=raw",
        "simulate.epsilon=1e300",
        "--sweep-from",
        "points.csv",
    ];
    let (code, out, err) = run(folder, &[&command[..], &["--json"]].concat());
    assert_eq!(code, 1, "{err}");
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    let ended = said["runs"].as_array().unwrap();
    let states: Vec<_> = ended
        .iter()
        .map(|run| run["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["finished", "failed", "finished"]);
    assert_eq!(ended[2]["settings"]["simulate.step_size"], "0.2");
    assert_eq!(ended[2]["settings"]["seed"], "6");
    assert!(ended[0]["metrics"]["bp_l1_distance"].is_f64(), "{out}");
    assert!(
        ended[1]["error"].is_string() && ended[1]["metrics"].is_null(),
        "{out}"
    );
    let named = ended[0]["folder"].as_str().unwrap();
    assert!(folder.join(named).join("run.json").exists(), "{named}");

    std::fs::write(&points, "simulate.step_size,seed\n0.1,\n").unwrap();
    let (code, _, err) = run(folder, &command);
    assert!(
        code == 2 && err.contains("points.csv: line 2: seed: expected a value"),
        "{err}"
    );
    std::fs::remove_file(&points).unwrap();
    let (code, _, err) = run(folder, &command);
    assert!(
        code == 2 && err.contains("points.csv: cannot read it"),
        "{err}"
    );
}

#[cfg(unix)]
#[test]
fn a_run_is_stopped_from_elsewhere() {
    let folder = simulation();
    let long = [
        "sim.toml",
        "simulate.steps=60000",
        "simulate.repeats=100000",
        "simulate.record_every=60000",
    ];
    let mut child = runner(folder.path(), &long)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let stopped = loop {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before it was stopped"
        );
        let (_, out, _) = run(folder.path(), &["stop", "sim"]);
        if out.contains("is asked to end") {
            break out;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(
        stopped.contains(&format!("process {} is asked to end", child.id())),
        "{stopped}"
    );
    let (code, _, err) = words(child.wait_with_output().unwrap());
    assert!(
        code == 130 && err.contains("the same command resumes this run"),
        "{err}"
    );
    let (code, out, _) = run(folder.path(), &["stop", "sim"]);
    assert_eq!((code, out.as_str()), (0, "no run of sim is running here\n"));
}

#[test]
fn stages_that_no_run_needs_are_deleted() {
    let folder = simulation();
    let folder = folder.path();
    let spec = "[[stage]]\nid = \"one\"\ntask = \"simulate\"\nsimulate = { kind = \"one-layer-training\", steps = 5, repeats = 1 }\n";
    std::fs::write(folder.join("staged.toml"), spec).unwrap();
    for seed in ["seed=1", "seed=2"] {
        let (code, _, err) = run(folder, &["staged.toml", seed]);
        assert_eq!(code, 0, "{err}");
    }
    let (code, out, _) = run(folder, &["gc", "staged"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "every stage is needed by a run\n")
    );
    let first = runs(folder, "staged")[0].clone();
    assert_eq!(run(folder, &["rm", "staged", &first]).0, 0);
    let (_, out, _) = run(folder, &["gc"]);
    assert!(
        out.contains("1 stage, ") && out.contains("--remove deletes them"),
        "{out}"
    );
    let (_, out, _) = run(folder, &["gc", "staged", "--remove"]);
    assert!(out.contains(", deleted\n1 stage deleted, "), "{out}");
    let left = std::fs::read_dir(folder.join("results/staged/stages"))
        .unwrap()
        .count();
    assert_eq!(left, 1);
}

/// One run that ends at once and two that would take hours, two at a time.
#[cfg(unix)]
const LONG: [&str; 7] = [
    "sim.toml",
    "simulate.steps=60000",
    "simulate.record_every=60000",
    "--sweep",
    "simulate.repeats=2,100000,100001",
    "--jobs",
    "2",
];

/// The numbers of the processes that work on runs, once there are so many.
#[cfg(unix)]
fn processes(folder: &std::path::Path, count: usize) -> Vec<String> {
    loop {
        let (_, out, _) = run(folder, &["list", "--where", "state=running", "--wide"]);
        let names = out
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(1));
        let owners = names.filter_map(|name| {
            let lock = folder.join("results/sim").join(name).join(".lock");
            let text = std::fs::read_to_string(lock).ok()?;
            Some(text.strip_prefix("process ")?.split(' ').next()?.to_owned())
        });
        let owners: Vec<String> = owners.collect();
        if owners.len() == count {
            return owners;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[cfg(unix)]
fn kill(signal: &str, process: &str) {
    let status = std::process::Command::new("kill")
        .args([signal, process])
        .status();
    assert!(status.unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_takes_no_other_with_it() {
    let folder = simulation();
    let folder = folder.path();
    let child = runner(folder, &LONG)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Both that take hours.
    let finished = || {
        let (_, out, _) = run(folder, &["list", "--where", "state=finished"]);
        out.contains("repeats=2-")
    };
    while !finished() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for process in processes(folder, 2) {
        assert_ne!(process, child.id().to_string());
        kill("-9", &process);
    }
    let (code, out, err) = words(child.wait_with_output().unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(out.contains(": finished\n"), "{out}");
    assert!(
        err.contains("2 of 3 runs failed\n") && err.contains("was killed (signal 9)"),
        "{err}"
    );
    let (_, out, _) = run(folder, &["list", "--where", "state=failed", "--wide"]);
    assert!(
        out.lines().count() == 3 && out.contains("was killed (signal 9)"),
        "{out}"
    );
}

#[cfg(unix)]
#[test]
fn an_interruption_reaches_every_run_once() {
    let folder = simulation();
    let folder = folder.path();
    let child = runner(folder, &LONG)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    processes(folder, 2);
    kill("-INT", &child.id().to_string());
    let (code, _, err) = words(child.wait_with_output().unwrap());
    assert_eq!(code, 130, "{err}");
    let (_, out, _) = run(folder, &["list", "--where", "state=interrupted"]);
    assert!(out.lines().count() >= 3, "{out}");
}
