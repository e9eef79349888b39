//! Runs and their folders: again, swept, interrupted, shared, in the way.

use std::process::{Command, Stdio};

use crate::program::{repository, run, runner, runs, simulation, words};

#[test]
fn the_same_command_reports_a_finished_run_and_fresh_keeps_the_old_one() {
    let folder = simulation();
    let (code, out, err) = run(folder.path(), &["sim.toml"]);
    assert_eq!(code, 0, "{err}");
    let names = runs(folder.path(), "sim");
    assert_eq!(names.len(), 1);
    assert!(
        out.starts_with(&format!("results/sim/{}: finished\n", names[0])),
        "{out}"
    );
    let run_folder = folder.path().join("results/sim").join(&names[0]);
    let record = std::fs::read_to_string(run_folder.join("run.json")).unwrap();
    assert!(
        record.contains("\"state\": \"finished\"") && record.contains("spec sim.toml:5"),
        "{record}"
    );
    let rows = std::fs::read(run_folder.join("simulation.csv")).unwrap();

    let (code, out, _) = run(folder.path(), &["sim.toml"]);
    assert_eq!(code, 0);
    assert!(out.contains("finished before"), "{out}");

    let spec = format!("results/sim/{}/spec.toml", names[0]);
    let (code, out, _) = run(folder.path(), &[&spec]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with(&format!("results/sim/{}: finished before", names[0])),
        "{out}"
    );

    let (code, out, _) = run(folder.path(), &["sim.toml", "--fresh"]);
    assert_eq!(code, 0);
    assert!(out.contains(": finished\n"), "{out}");
    let earlier = folder
        .path()
        .join("results/sim/earlier")
        .join(format!("{}.1", names[0]));
    assert_eq!(std::fs::read(earlier.join("simulation.csv")).unwrap(), rows);
    assert_eq!(
        std::fs::read(run_folder.join("simulation.csv")).unwrap(),
        rows,
        "the same seed, the same rows"
    );
}

#[test]
fn a_sweep_keeps_going_after_a_failure_and_runs_only_what_is_left() {
    let folder = simulation();
    // The step of the middle value is so long that the loss ends beyond all numbers.
    let far = [
        "sim.toml",
        "simulate.step_rule=raw",
        "simulate.epsilon=1e300",
    ];
    let sweep = [
        far[0],
        far[1],
        far[2],
        "--sweep",
        "simulate.step_size=0.1,1e300,0.2",
        "--jobs",
        "2",
    ];
    let (code, out, err) = run(folder.path(), &sweep);
    assert_eq!(code, 1);
    assert_eq!(
        out.lines()
            .filter(|line| line.ends_with(": finished"))
            .count(),
        2,
        "{out}"
    );
    assert!(
        err.contains("error: 1 of 3 runs failed\nerror: simulate.step_size=1e300: "),
        "{err}"
    );
    let names = runs(folder.path(), "sim");
    assert_eq!(names.len(), 3);
    assert!(
        names[2].starts_with("simulate.step_size=1e300-"),
        "{names:?}"
    );

    // One more value, one more key: what is finished keeps its folder and is not run again.
    let (code, out, _) = run(
        folder.path(),
        &[
            far[0],
            far[1],
            far[2],
            "--sweep",
            "simulate.step_size=0.1,0.2,0.3",
            "--sweep",
            "simulate.repeats=2,3",
        ],
    );
    assert_eq!(code, 0);
    assert_eq!(
        out.lines()
            .filter(|line| line.contains(": finished before"))
            .count(),
        2,
        "{out}"
    );
    assert_eq!(runs(folder.path(), "sim").len(), 7);

    let failing = [
        far[0],
        far[1],
        far[2],
        "--sweep",
        "simulate.step_size=1e300,0.4",
        "--fail-fast",
    ];
    let (code, _, err) = run(folder.path(), &failing);
    assert_eq!(code, 1);
    assert!(err.contains("1 of 2 runs failed, 1 not started"), "{err}");
}

#[test]
fn a_folder_in_use_or_that_cannot_be_written_is_named() {
    let folder = simulation();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    let used = folder
        .path()
        .join("results/sim")
        .join(&runs(folder.path(), "sim")[0]);
    let _owner = runner::run::Lock::acquire(&used).unwrap();
    let (code, _, err) = run(folder.path(), &["sim.toml"]);
    assert_eq!(code, 1);
    assert!(err.contains("in use by process"), "{err}");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (code, _, err) = run(folder.path(), &["sim.toml", "--results", "file"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("file/sim") && err.contains("--results DIR"),
        "{err}"
    );
}

#[test]
fn stages_run_once_and_are_shared() {
    let folder = tempfile::tempdir().unwrap();
    let spec = repository().join("experiments/quickstart.toml");
    let spec = spec.to_str().unwrap();
    let (code, out, err) = run(folder.path(), &[spec, "--smoke", "--jobs", "2"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("\n  attack-linbp: "), "{out}");
    // Another attack uses the same training.
    let (code, _, err) = run(
        folder.path(),
        &[spec, "--smoke", "attack.epsilon=0.05", "-v"],
    );
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("finished before"), "{err}");
    let stages = std::fs::read_dir(folder.path().join("results/quickstart-smoke/stages")).unwrap();
    let mut names: Vec<String> = stages
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let ids: Vec<&str> = names
        .iter()
        .map(|name| name.rsplit_once('-').unwrap().0)
        .collect();
    assert_eq!(
        ids,
        [
            "attack-bp",
            "attack-bp",
            "attack-linbp",
            "attack-linbp",
            "train"
        ]
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_exits_with_130_and_goes_on() {
    let folder = simulation();
    let long = [
        "sim.toml",
        "simulate.kind=one-layer-training",
        "simulate.steps=60000",
        "simulate.repeats=60",
        "simulate.record_every=60000",
        "simulate.batch=1000",
    ];
    let mut child = runner(folder.path(), &long)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let results = folder.path().join("results/sim");
    let begun = || {
        std::fs::read_dir(&results).is_ok_and(|mut entries| {
            entries.any(|entry| entry.unwrap().path().join("run.json").exists())
        })
    };
    while !begun() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before it began"
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let (code, _, err) = words(child.wait_with_output().unwrap());
    assert_eq!(code, 130, "{err}");
    assert!(err.contains("the same command resumes this run"), "{err}");
    let record = std::fs::read_to_string(
        results
            .join(&runs(folder.path(), "sim")[0])
            .join("run.json"),
    )
    .unwrap();
    assert!(record.contains("\"state\": \"interrupted\""), "{record}");
}

/// One folder without permissions hides its own runs and no others.
#[cfg(unix)]
#[test]
fn unreadable_folders_are_listed_as_such() {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    let folder = simulation();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    let locked = folder.path().join("results/locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read_dir(&locked).is_ok() {
        // Past the capture of the test harness: a skipped test must be seen.
        writeln!(
            std::io::stderr(),
            "skipped: permissions do not hold for this user"
        )
        .unwrap();
        return;
    }
    let (code, out, _) = run(folder.path(), &["list"]);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(code, 0);
    assert!(out.contains("sim "), "{out}");
    assert!(out.contains("unreadable"), "{out}");
    assert!(out.contains("results/locked: cannot read: "), "{out}");
}
