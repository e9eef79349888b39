//! What is known before anything runs: data, weights, memory; and weights that checkpoints hold.

use std::path::Path;

use crate::program::{repository, run, runs};

const TRAIN: &str = "task = \"train\"\nname = \"t\"\ndata = { kind = \"digits\", train_limit = 640, test_limit = 64, batch_size = 32 }\n\
                     model.arch = \"lenet5\"\noptimizer = { lr = 0.05, momentum = 0.9 }\n\
                     scheduler = { kind = \"step\", milestones = [2], gamma = 8 }\ntrain.epochs = 4\n";

fn judge(weights: &str) -> String {
    format!(
        "task = \"evaluate\"\nname = \"judge\"\ndata = {{ kind = \"digits\", test_limit = 64 }}\n\
         model = {{ arch = \"lenet5\", weights = \"{weights}\" }}\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn check_looks_at_what_a_run_looks_at() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "missing.toml", &judge("w.safetensors"));
    let (code, out, err) = run(folder.path(), &["check", "missing.toml"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "error: missing.toml: w.safetensors: cannot open the weights: No such file or directory (os error 2)\n"
    );
    let other = repository().join("tests/fixtures/weights/wrapped.pt");
    write(folder.path(), "other.toml", &judge(other.to_str().unwrap()));
    let (code, _, err) = run(folder.path(), &["check", "other.toml"]);
    assert_eq!((code, err.lines().count()), (1, 1), "{err}");
    assert!(
        err.contains("wrapped.pt: these weights do not fit model.arch = \"lenet5\": tensor conv1.weight of shape [6, 1, 5, 5] is missing; "),
        "{err}"
    );
    let mnist = TRAIN.replace("\"digits\"", "\"mnist\", dir = \"none\"");
    write(folder.path(), "data.toml", &mnist);
    let (code, _, err) = run(folder.path(), &["check", "data.toml"]);
    assert_eq!(code, 1);
    assert!(
        err.starts_with("error: data.toml: none: no such folder (data.dir"),
        "{err}"
    );
}

/// A trial that passes must not be followed by a run that is refused for what the trial could see.
#[test]
fn a_dry_run_on_the_cpu_refuses_what_the_cpu_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "t.toml",
        &format!("precision = \"bf16\"\n{TRAIN}"),
    );
    let on_the_cpu = ["t.toml", "--device", "cpu"];
    for args in [&on_the_cpu[..], &[&on_the_cpu[..], &["--dry-run"]].concat()] {
        let (code, _, err) = run(folder.path(), args);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("precision: \"bf16\" needs a card"), "{err}");
    }
    // Without a device a plan may be one for another machine.
    let (code, _, err) = run(folder.path(), &["t.toml", "--dry-run"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn smoke_does_without_weights_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.toml", &judge("w.safetensors"));
    let (code, _, err) = run(folder.path(), &["a.toml", "--smoke"]);
    assert_eq!(code, 0, "{err}");
    let remark = "warning: --smoke: model.weights: w.safetensors is not there, the model gets random weights";
    assert!(err.lines().any(|line| line == remark), "{err}");
}

#[test]
fn what_no_memory_holds_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.toml", TRAIN);
    let wide = ["model.arch=mlp", "model.widths=[1000000000]"];
    for first in [&["check", "a.toml"][..], &["a.toml"]] {
        let (code, _, err) = run(folder.path(), &[first, &wide[..]].concat());
        assert_eq!(code, 2, "{err}");
        assert!(
            err.contains("model.widths: this takes at least ")
                && err.contains(" of memory, and this machine has ")
                && err.ends_with("; lower model.widths\n"),
            "{err}"
        );
    }
    let text = "task = \"simulate\"\n[simulate]\nkind = \"one-layer-training\"\n";
    write(folder.path(), "sim.toml", text);
    let most = ["simulate.inputs=1000000000", "simulate.batch=1000000000"];
    for first in [&["check", "sim.toml"][..], &["sim.toml"]] {
        let (code, _, err) = run(folder.path(), &[first, &most[..]].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("lower simulate.inputs"), "{err}");
    }
}

#[test]
fn batches_and_layers_of_more_than_16384_train() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.toml", TRAIN);
    let few = [
        "a.toml",
        "model.arch=mlp",
        "train.epochs=1",
        "scheduler.kind=constant",
    ];
    for more in [
        &[
            "model.widths=[8]",
            "data.train_limit=16500",
            "data.batch_size=16500",
        ][..],
        &["model.widths=[16500]", "data.train_limit=32"],
    ] {
        let (code, _, err) = run(folder.path(), &[&few[..], more].concat());
        assert_eq!(code, 0, "{err}");
    }
}

#[test]
fn checkpoints_are_weights() {
    let folder = tempfile::tempdir().unwrap();
    let stages = TRAIN.replace("task = \"train\"\n", "")
        + "\
        [[stage]]\nid = \"train\"\ntask = \"train\"\n\
        [[stage]]\nid = \"final\"\ntask = \"evaluate\"\nmodel = { weights = \"@train\" }\n\
        [[stage]]\nid = \"last\"\ntask = \"evaluate\"\nmodel = { weights = \"@train.last\" }\n\
        [[stage]]\nid = \"best\"\ntask = \"evaluate\"\nmodel = { weights = \"@train.best\" }\n";
    write(folder.path(), "a.toml", &stages);
    let (code, _, err) = run(folder.path(), &["a.toml"]);
    assert_eq!(code, 0, "{err}");
    let results = folder.path().join("results/t");
    let name = &runs(folder.path(), "t")[0];
    let record = std::fs::read_to_string(results.join(name).join("run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let accuracy = |id: &str| {
        let stages = record["stages"].as_array().unwrap();
        let stage = stages.iter().find(|stage| stage["id"] == id).unwrap();
        stage["metrics"]["test_accuracy"].as_f64().unwrap()
    };
    assert_eq!(accuracy("final"), accuracy("last"));
    let table = std::fs::read_to_string(results.join(name).join("metrics.csv")).unwrap();
    let of_training = table
        .lines()
        .filter(|line| line.starts_with("train,") && line.contains(",test,none,"));
    let best = of_training.map(|line| line.split(',').nth(6).unwrap().parse::<f64>().unwrap());
    assert_eq!(accuracy("best"), best.fold(0.0, f64::max));
    assert!(
        accuracy("best") > accuracy("last"),
        "the training was to end badly"
    );

    // The same from outside, by path.
    let stages = std::fs::read_dir(results.join("stages")).unwrap();
    let mut stages = stages.map(|entry| entry.unwrap().path());
    let train = stages
        .find(|path| path.join("checkpoints").is_dir())
        .unwrap();
    let train = train.join("checkpoints");
    let pointed = std::fs::read_to_string(train.join("best")).unwrap();
    for file in ["best", pointed.trim(), "last", "final.safetensors"] {
        write(
            folder.path(),
            "j.toml",
            &judge(train.join(file).to_str().unwrap()),
        );
        let (code, out, err) = run(folder.path(), &["check", "j.toml"]);
        assert_eq!((code, out.as_str()), (0, "j.toml: sound\n"), "{err}");
        let (code, out, err) = run(folder.path(), &["j.toml"]);
        assert_eq!(code, 0, "{err}");
        let expected = match file {
            "last" | "final.safetensors" => accuracy("last"),
            _ => accuracy("best"),
        };
        assert!(
            out.contains(&format!("test_accuracy {expected:.4}")),
            "{file}: {out}"
        );
    }
}
