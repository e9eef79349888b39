//! The built program from outside: exit codes, words, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn runner(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command
        .current_dir(folder)
        .args(args)
        .env_remove("RUNNER_SEED");
    command
}

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    words(runner(folder, args).output().unwrap())
}

fn words(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

fn repository() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// A folder with a small simulation, `sim.toml`.
fn simulation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"sim\"\ntask = \"simulate\"\n[simulate]\nkind = \"two-layer-attack\"\nrepeats = 2\nsteps = 5\n";
    std::fs::write(folder.path().join("sim.toml"), text).unwrap();
    folder
}

/// The folders of the runs of a name.
fn runs(folder: &Path, name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("results").join(name)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("run.json").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

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
fn check_reports_every_spec() {
    let folder = simulation();
    std::fs::write(
        folder.path().join("bad.toml"),
        "task = \"simulate\"\nsed = 1\n",
    )
    .unwrap();
    let (code, out, err) = run(folder.path(), &["check", "sim.toml", "bad.toml", "seed=3"]);
    assert_eq!((code, out.as_str()), (2, "sim.toml: sound\n"));
    assert_eq!(
        err,
        "error: bad.toml: simulate.kind: missing; The simulation: \"two-layer-attack\" or \"one-layer-training\"\n\
         error: bad.toml:2: sed: unknown key; did you mean \"seed\"?\n"
    );
    let (code, out, _) = run(
        folder.path(),
        &["check", "sim.toml", "--sweep", "seed=1,2,3"],
    );
    assert_eq!((code, out.as_str()), (0, "sim.toml: sound, 3 runs\n"));
    let (code, _, err) = run(
        &repository(),
        &[
            "check",
            "experiments/quickstart.toml",
            "stage.attack-linbp.linbp.layers=[\"x\"]",
        ],
    );
    assert_eq!(code, 2);
    assert!(
        err.contains("linbp.layers: \"x\" matches no activation"),
        "{err}"
    );
}

#[test]
fn settings_without_effect_warn() {
    let folder = simulation();
    let (code, _, err) = run(
        folder.path(),
        &["check", "sim.toml", "simulate.batch=7", "attack.k=3"],
    );
    assert_eq!(code, 0);
    assert_eq!(
        err,
        "warning: command line: attack: has no effect: the task simulate does not use it\n\
         warning: command line: simulate.batch: has no effect: only one-layer-training draws rows\n"
    );
}

#[test]
fn graph_shows_the_stages() {
    let (code, out, _) = run(&repository(), &["graph", "experiments/quickstart.toml"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "train         train lenet5 on digits\n\
         attack-bp     attack lenet5 on digits by pgd  <- weights of train\n\
         attack-linbp  attack lenet5 on digits by pgd (LinBP in attack)  <- weights of train\n"
    );
    let (_, out, _) = run(
        &repository(),
        &["graph", "experiments/quickstart.toml", "--format", "dot"],
    );
    assert!(out.starts_with("digraph"), "{out}");
}

#[test]
fn models_are_listed_with_their_activations() {
    let (code, out, _) = run(&repository(), &["models"]);
    assert_eq!(code, 0);
    assert!(
        out.lines().any(|line| line.starts_with("mobilenet_v2  ")),
        "{out}"
    );
    let (code, out, _) = run(&repository(), &["models", "mlp"]);
    assert_eq!(code, 0);
    let linear: Vec<bool> = out
        .lines()
        .map(|line| line.ends_with("linear by default"))
        .collect();
    assert_eq!(linear, [false, true, true], "{out}");
    let (_, out, _) = run(&repository(), &["models", "densenet121"]);
    let marked = |mark: &str| out.lines().filter(|line| line.ends_with(mark)).count();
    assert_eq!(marked("  linear by default"), 2 * 16 + 1, "{out}");
    let transition = "features.transition3.relu                linear by default in attacks";
    assert!(out.lines().any(|line| line == transition), "{out}");
    assert_eq!(marked("in attacks"), 1);
    let (code, _, err) = run(&repository(), &["models", "mpl"]);
    assert_eq!(code, 2);
    assert!(
        err.starts_with("error: unknown architecture \"mpl\""),
        "{err}"
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = simulation();
    let (code, out, _) = run(folder.path(), &["sim.toml", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        out.contains(": new\n") && out.contains("step_rule = \"l2\""),
        "{out}"
    );
    assert!(!folder.path().join("results").exists());
}

#[test]
fn the_environment_is_a_layer() {
    let folder = simulation();
    let mut command = runner(folder.path(), &["sim.toml", "--dry-run"]);
    command
        .env("RUNNER_SIMULATE__STEPS", "7")
        .env("RUNNER_SIMULATE__EPSILON", "0.5")
        .env("RUNNER_NAME", "build 1");
    let (code, out, _) = words(command.output().unwrap());
    assert_eq!(code, 0);
    assert!(
        out.contains("name = \"sim\"")
            && out.contains("steps = 7")
            && out.contains("epsilon = 0.5"),
        "{out}"
    );
    let mut command = runner(
        folder.path(),
        &["sim.toml", "--dry-run", "simulate.steps=8"],
    );
    command
        .env("RUNNER_SIMULATE__STEPS", "7")
        .env("RUNNER_SIMULATE__EPSILON", "x");
    let (code, _, err) = words(command.output().unwrap());
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "error: environment RUNNER_SIMULATE__EPSILON: simulate.epsilon: expected a number above 0, found \"x\"\n"
    );
}

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
    // The middle value asks for more memory than a simulation may have.
    let sweep = [
        "sim.toml",
        "--sweep",
        "simulate.inputs=3,1000000000,4",
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
        err.contains("error: 1 of 3 runs failed\nerror: simulate.inputs=1000000000: "),
        "{err}"
    );
    let names = runs(folder.path(), "sim");
    assert_eq!(names.len(), 3);
    assert!(
        names[0].starts_with("simulate.inputs=1000000000-"),
        "{names:?}"
    );

    // One more value, one more key: what is finished keeps its folder and is not run again.
    let (code, out, _) = run(
        folder.path(),
        &[
            "sim.toml",
            "--sweep",
            "simulate.inputs=3,4,5",
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
        "sim.toml",
        "--sweep",
        "simulate.hidden=1000000000,1",
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
fn missing_data_is_known_before_anything_runs() {
    let folder = simulation();
    let spec = repository().join("experiments/mnist_lenet5.toml");
    let (code, _, err) = run(folder.path(), &[spec.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(
        err.contains("data/mnist: no such folder") && err.contains("train-images-idx3-ubyte"),
        "{err}"
    );
    assert!(!folder.path().join("results").exists());
    let spec = repository().join("experiments/attack_cifar10.toml");
    let (code, _, err) = run(folder.path(), &[spec.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(
        err.contains("data/cifar10: ")
            && err.contains("weights/mobilenet_v2.safetensors: cannot open the weights: "),
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

#[test]
fn weights_are_inspected_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let torch = repository().join("tests/fixtures/weights/wrapped.pt");
    let torch = torch.to_str().unwrap();
    let (code, seen, _) = run(folder.path(), &["weights", "inspect", torch]);
    assert_eq!(code, 0);
    assert!(
        seen.lines().count() > 1 && seen.contains(" tensors, "),
        "{seen}"
    );
    let convert = ["weights", "convert", torch, "a.safetensors"];
    assert_eq!(run(folder.path(), &convert).0, 0);
    let (_, converted, _) = run(folder.path(), &["weights", "inspect", "a.safetensors"]);
    assert_eq!(seen, converted);
    let (code, _, said) = run(folder.path(), &convert);
    assert_eq!(code, 1);
    assert!(said.contains("a.safetensors: exists"), "{said}");
    let (code, _, said) = run(folder.path(), &["weights", "convert", torch, "a.pt"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("expected a file that ends in .safetensors"),
        "{said}"
    );
}

#[test]
fn data_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let quickstart = repository().join("experiments/quickstart.toml");
    let args = ["data", "info", quickstart.to_str().unwrap(), "--smoke"];
    let (code, out, err) = run(folder.path(), &args);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("data of train"), "{out}");
    assert_eq!(lines[1], "digits: drawn by the program");
    assert!(
        lines[2].starts_with("train: 128 images of 1x28x28 (channels x height x width); 0 "),
        "{out}"
    );
    assert!(
        lines[2].ends_with("; first train-000000, train-000001, train-000002"),
        "{out}"
    );
    assert!(out.contains("\n\ndata of attack-bp, attack-linbp"), "{out}");

    let folder = simulation();
    let (code, out, _) = run(folder.path(), &["data", "info", "sim.toml"]);
    assert_eq!((code, out.as_str()), (0, "sim.toml: reads no data\n"));
    let text = "task = \"train\"\ndata = { kind = \"mnist\", dir = \"none\" }\nmodel.arch = \"mlp\"\n\
                optimizer.lr = 0.1\ntrain.epochs = 1\n";
    std::fs::write(folder.path().join("mnist.toml"), text).unwrap();
    let (code, out, err) = run(folder.path(), &["data", "info", "mnist.toml"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.starts_with(
            "error: none: no such folder (data.dir, kind `mnist`); run `runner data get mnist --dir none`, or put there "
        ),
        "{err}"
    );
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
