//! Starting again: other programs, figures that failed, damaged records, folders that are only read, many at once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::{repository, run, runner, runs, simulation, words};

fn the_run(folder: &Path, name: &str) -> PathBuf {
    folder
        .join("results")
        .join(name)
        .join(&runs(folder, name)[0])
}

fn record(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path.join("run.json")).unwrap()).unwrap()
}

fn put_record(path: &Path, record: &Value) {
    std::fs::write(path.join("run.json"), record.to_string()).unwrap();
}

/// The messages of a run's log.
fn logged(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .map(|event| event["fields"]["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_record_names_the_commit_of_the_build() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(repository())
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let folder = simulation();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    let code = record(&the_run(folder.path(), "sim"))["code"].clone();
    let features: Vec<&str> = code["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(features.contains(&"cudnn"), cfg!(feature = "cudnn"));
    assert_eq!(features.contains(&"cuda"), cfg!(feature = "cuda"));
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none()
        || option_env!("RUNNER_COMMIT").is_some()
    {
        return;
    }
    let commit = code["commit"].as_str().unwrap();
    let head = git(&["rev-parse", "HEAD"]).unwrap();
    assert!(
        commit == head || commit == format!("{head}-dirty"),
        "{commit}, HEAD is {head}"
    );
}

#[test]
fn another_version_says_so_and_both_are_kept() {
    let folder = simulation();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    let path = the_run(folder.path(), "sim");
    let mut old = record(&path);
    old["code"]["version"] = json!("0.0.9");
    old["code"]["commit"] = json!("00112233445566778899");
    old["programs"] = json!([{ "version": "0.0.9", "commit": "00112233445566778899", "started": "2024-01-02T03:04:05Z" }]);
    put_record(&path, &old);
    let (code, out, _) = run(folder.path(), &["sim.toml"]);
    assert_eq!(code, 0);
    assert!(
        out.contains(": finished before by runner 0.0.9 of commit 0011223344 (--fresh"),
        "{out}"
    );

    old["state"] = json!("interrupted");
    put_record(&path, &old);
    let (code, _, err) = run(folder.path(), &["sim.toml"]);
    assert_eq!(code, 0, "{err}");
    let line = format!(
        "begun by runner 0.0.9 of commit 0011223344, goes on with runner {}",
        env!("CARGO_PKG_VERSION")
    );
    assert!(err.contains(&line), "{err}");
    assert!(logged(&path).iter().any(|message| message.contains(&line)));
    let now = record(&path);
    let programs = now["programs"].as_array().unwrap();
    assert_eq!(programs.len(), 2, "{programs:?}");
    assert_eq!(programs[0], old["programs"][0]);
    assert_eq!(programs[1]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(programs[1]["started"], now["started"]);
}

#[test]
fn figures_that_failed_are_drawn_by_the_next_start() {
    let folder = simulation();
    std::fs::create_dir_all(folder.path().join("results")).unwrap();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    let path = the_run(folder.path(), "sim");
    let figures = path.join("figures");
    let names = |folder: &Path| -> Vec<_> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let drawn = names(&figures);
    // In place of a full disk: a file where the folder is to be.
    std::fs::remove_dir_all(&figures).unwrap();
    std::fs::write(&figures, "").unwrap();
    let mut unfinished = record(&path);
    unfinished["state"] = json!("interrupted");
    put_record(&path, &unfinished);
    let (code, _, err) = run(folder.path(), &["sim.toml"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("no figures: "), "{err}");
    assert!(record(&path)["figures_missing"].is_string());
    std::fs::remove_file(&figures).unwrap();
    let (code, out, err) = run(folder.path(), &["sim.toml"]);
    assert!(code == 0 && out.contains("finished before"), "{out}{err}");
    assert_eq!(names(&figures), drawn);
    assert!(record(&path)["figures_missing"].is_null());
}

#[test]
fn deleting_a_damaged_record_resumes_as_its_message_says() {
    let folder = simulation();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    let path = the_run(folder.path(), "sim");
    let whole = record(&path);
    let rows = std::fs::read(path.join("simulation.csv")).unwrap();
    for file in ["run.json", "stage.json"] {
        let mut unfinished = whole.clone();
        unfinished["state"] = json!("interrupted");
        put_record(&path, &unfinished);
        std::fs::write(path.join(file), "{\"format_ver").unwrap();
        let (code, _, err) = run(folder.path(), &["sim.toml"]);
        assert_eq!(code, 1);
        assert!(err.contains(&format!("{file}: damaged")), "{err}");
        assert!(
            err.contains(
                "delete this file to go on from what stands beside it, or start again with --fresh"
            ),
            "{err}"
        );
        std::fs::remove_file(path.join(file)).unwrap();
        let (code, out, err) = run(folder.path(), &["sim.toml"]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains(": finished\n"), "{out}");
        let now = record(&path);
        assert_eq!(
            (&now["state"], &now["stages"][0]["metrics"]),
            (&whole["state"], &whole["stages"][0]["metrics"])
        );
        assert_eq!(std::fs::read(path.join("simulation.csv")).unwrap(), rows);
    }
    std::fs::write(path.join("run.json"), "{").unwrap();
    assert_eq!(run(folder.path(), &["sim.toml", "--fresh"]).0, 0);
}

/// A training that was killed, and then lost its record, goes on from its checkpoint.
#[test]
fn an_unfinished_run_without_its_record_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let spec = "name = \"t\"\ntask = \"train\"\ndata = { kind = \"digits\", train_limit = 64, test_limit = 10 }\n\
                model = { arch = \"mlp\", widths = [8] }\noptimizer = { lr = 0.1 }\ntrain = { epochs = 300 }\n\
                checkpoint = { every = \"1 step\" }\n";
    std::fs::write(folder.path().join("t.toml"), spec).unwrap();
    let start = || {
        let mut command = runner(folder.path(), &["t.toml"]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut child = start();
    let rows = || {
        let named = folder.path().join("results/t");
        let entries = std::fs::read_dir(named).into_iter().flatten().flatten();
        let texts = entries
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("metrics.csv")).ok());
        texts.map(|text| text.lines().count()).max().unwrap_or(0)
    };
    while rows() < 6 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let path = the_run(folder.path(), "t");
    let before = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    std::fs::remove_file(path.join("run.json")).unwrap();
    let (code, _, err) = run(folder.path(), &["t.toml"]);
    assert_eq!(code, 0, "{err}");
    let after = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    let whole = &before[..before.rfind('\n').unwrap() + 1];
    assert!(after.starts_with(whole), "the rows that stood still stand");
    assert_eq!(record(&path)["state"], "finished");
}

/// A finished run in a folder that is only read.
#[cfg(target_os = "linux")]
#[test]
fn a_finished_run_on_a_read_only_mount_is_reported() {
    use std::io::Write;

    let folder = simulation();
    assert_eq!(
        run(
            folder.path(),
            &["sim.toml", "--sweep", "simulate.inputs=3,4"]
        )
        .0,
        0
    );
    let program = env!("CARGO_BIN_EXE_runner");
    let mounted = |arguments: &str| {
        let script = format!(
            "mount --bind results results && mount -o remount,ro,bind results || exit 77; exec {program} {arguments}"
        );
        let output = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .current_dir(folder.path())
            .output();
        output.map_or((77, String::new(), String::new()), words)
    };
    let (code, out, err) = mounted("sim.toml --sweep simulate.inputs=3,4");
    if code == 77 || err.starts_with("unshare: ") {
        writeln!(
            std::io::stderr(),
            "skipped: nothing can be mounted here: {err}"
        )
        .unwrap();
        return;
    }
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(out.matches(": finished before").count(), 2, "{out}");
    assert!(err.contains("warning: no summary: "), "{err}");
    let (code, out, err) = mounted("list sim");
    assert!(
        code == 0 && out.matches(" finished ").count() == 2,
        "{out}{err}"
    );
    let (code, out, err) = mounted("report sim");
    assert!(
        code == 1 && err.contains("results/sim/summary.csv: cannot "),
        "{out}{err}"
    );
    assert!(
        err.lines()
            .all(|line| line.starts_with("error: results/sim/")),
        "{err}"
    );
    // What is not finished cannot go on there.
    let (code, _, err) = mounted("sim.toml --sweep simulate.inputs=3,5");
    assert!(
        code == 1 && err.contains("choose another folder with --results DIR"),
        "{err}"
    );
}

#[test]
fn of_ten_fresh_starts_at_once_one_runs_and_the_others_say_in_use() {
    let folder = simulation();
    assert_eq!(run(folder.path(), &["sim.toml"]).0, 0);
    // Long enough that none comes after the first has ended.
    let long = [
        "sim.toml",
        "simulate.kind=one-layer-training",
        "simulate.steps=40000",
        "simulate.repeats=8",
        "simulate.record_every=40000",
        "simulate.batch=500",
    ];
    let fresh: Vec<&str> = long.iter().copied().chain(["--fresh"]).collect();
    // Something to move aside: a run that was begun.
    let mut first = runner(folder.path(), &long)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while runs(folder.path(), "sim").len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let start = || {
        runner(folder.path(), &fresh)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..10).map(|_| start()).collect();
    let ended: Vec<_> = children
        .into_iter()
        .map(|child| words(child.wait_with_output().unwrap()))
        .collect();
    let winners = ended.iter().filter(|(code, ..)| *code == 0).count();
    let others: Vec<&String> = ended
        .iter()
        .filter(|(code, ..)| *code != 0)
        .map(|(_, _, err)| err)
        .collect();
    assert!(
        others.iter().all(|err| err.contains("in use by")),
        "{others:#?}"
    );
    assert_eq!(winners, 1, "{ended:#?}");
}

#[test]
fn rows_of_stages_come_in_the_order_of_the_spec_whatever_runs_when() {
    let folder = tempfile::tempdir().unwrap();
    let stage = |id: &str, epochs: usize| {
        format!(
            "[[stage]]\nid = \"{id}\"\ntask = \"train\"\nmodel = {{ arch = \"mlp\", widths = [8] }}\ntrain = {{ epochs = {epochs} }}\n"
        )
    };
    let text = "name = \"s\"\ndata = { kind = \"digits\", train_limit = 256, test_limit = 20 }\noptimizer = { lr = 0.1 }\n"
        .to_owned()
        + &stage("slow", 20)
        + &stage("quick", 1);
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let (code, _, err) = run(folder.path(), &["s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{err}");
    let path = the_run(folder.path(), "s");
    let rows = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    let mut stages: Vec<&str> = rows
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    stages.dedup();
    assert_eq!(stages, ["slow", "quick"], "{rows}");

    // What standard error showed is in the log, each line once.
    let log = logged(&path);
    for line in err.lines() {
        assert_eq!(
            log.iter()
                .filter(|message| message.as_str() == line)
                .count(),
            1,
            "{line}\n{log:#?}"
        );
    }
    // Other settings of one stage: the other is reused and says so.
    let (code, _, err) = run(folder.path(), &["s.toml", "stage.quick.optimizer.lr=0.2"]);
    assert_eq!(code, 0, "{err}");
    let reused: Vec<&str> = err
        .lines()
        .filter(|line| line.contains("finished before"))
        .collect();
    assert_eq!(reused.len(), 1, "{err}");
    assert!(
        reused[0].starts_with("slow: finished before, ")
            && reused[0].contains("; taken from results/s/stages/slow-"),
        "{err}"
    );
}
