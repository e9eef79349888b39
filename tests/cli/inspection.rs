//! The commands that look into models, weights and data.

use runner::attacks::AttackName;
use runner::spec::TaskKind;

use crate::program::{repository, run, simulation};

#[test]
fn attacks_are_listed_with_their_settings() {
    let (code, out, _) = run(&repository(), &["attacks"]);
    assert_eq!(code, 0);
    let names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, AttackName::all());
    let (code, out, _) = run(&repository(), &["attacks", "apgd"]);
    assert_eq!(code, 0);
    for expected in [
        "also apgd-dlr: loss = \"dlr\"",
        "  k         Number of steps; default 100.",
        "  epsilon ",
    ] {
        assert!(out.lines().any(|line| line.starts_with(expected)), "{out}");
    }
    let (code, _, err) = run(&repository(), &["attacks", "agpd"]);
    assert_eq!(code, 2);
    assert!(
        err.ends_with("found \"agpd\"; did you mean \"apgd\"?\n"),
        "{err}"
    );
}

#[test]
fn models_are_listed_with_their_activations() {
    let (code, out, _) = run(&repository(), &["models"]);
    assert_eq!(code, 0);
    assert!(
        out.lines().any(|line| line.starts_with("mobilenet_v2  ")),
        "{out}"
    );
    let line = |start: &str| out.lines().find(|line| line.starts_with(start));
    assert!(
        line("wide_resnetD_W ").is_some_and(|line| line.contains("6n + 4")),
        "{out}"
    );
    assert!(
        line("resnet18 ").is_some_and(|line| line.contains("model.stem")),
        "{out}"
    );
    assert!(
        line("\"3x3\" ").is_some() && line("\"3x3-maxpool\" ").is_some(),
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

#[test]
fn devices_are_listed_and_a_missing_card_is_named() {
    let (code, out, _) = run(&repository(), &["devices"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("cpu     "), "{out}");
    assert!(
        out.lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("cuda")),
        "{out}"
    );
    if cfg!(not(feature = "cuda")) {
        assert!(out.contains("build with --features cuda,cudnn"), "{out}");
        let folder = simulation();
        let (code, _, err) = run(folder.path(), &["sim.toml", "--device", "cuda"]);
        assert_eq!(code, 1);
        assert!(
            err.contains("--device cuda:0: this build has no CUDA"),
            "{err}"
        );
    }
}

#[test]
fn a_spec_to_start_from_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for task in TaskKind::NAMES {
        let file = format!("{task}.toml");
        let (code, out, err) = run(folder, &["init", task, &file]);
        assert_eq!((code, out.as_str()), (0, ""), "{err}");
        let (code, _, err) = run(folder, &[&file, "--smoke"]);
        assert_eq!(code, 0, "{task}: {err}");
    }
    let (code, _, err) = run(folder, &["init", "train", "train.toml"]);
    assert!(
        code == 1 && err.contains("train.toml: cannot create"),
        "{err}"
    );
    let (code, _, err) = run(folder, &["init", "trian"]);
    assert!(code == 2 && err.contains("trian: expected one of"), "{err}");
}

#[test]
fn shipped_experiments_and_manual_pages_come_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, out, _) = run(folder, &["experiments"]);
    assert!(
        code == 0 && out.contains("\nquickstart\n  see all of it"),
        "{out}"
    );
    let (code, out, _) = run(folder, &["experiments", "quickstart"]);
    let shipped = std::fs::read_to_string(repository().join("experiments/quickstart.toml"));
    assert_eq!((code, out), (0, shipped.unwrap()));
    let (code, _, err) = run(folder, &["experiments", "quickstrat"]);
    assert!(
        code == 2 && err.contains("did you mean \"quickstart\"?"),
        "{err}"
    );
    assert_eq!(run(folder, &["man", "pages"]).0, 0);
    let page = std::fs::read_to_string(folder.join("pages/runner-list.1")).unwrap();
    assert!(page.contains("runner\\-list"), "{page}");
}
