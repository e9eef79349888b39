//! What is done with a spec before anything runs.

use crate::program::{repository, run, runner, simulation, words};

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
    let sweep = ["--sweep", "attack.k=1,5", "--sweep", "seed=0,1,2"];
    let graph = |format: &str| {
        let args = [
            &["graph", "experiments/quickstart.toml", "--format", format],
            &sweep[..],
        ];
        run(&repository(), &args.concat()).1
    };
    let title = "6 runs over attack.k = 1, 5; seed = 0, 1, 2; each:";
    assert!(graph("text").starts_with(&format!("{title}\ntrain ")));
    assert!(graph("mermaid").starts_with(&format!("---\ntitle: \"{title}\"\n---\ngraph LR\n")));
    assert!(graph("dot").contains(&format!("    label=\"{title}\";\n")));
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
