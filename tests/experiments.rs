//! Every file in `experiments/` says what it is for and is a sound spec that survives being resolved and read again.

use std::path::{Path, PathBuf};

use runner::experiment::{Plan, plan};
use runner::spec::Request;

fn experiments() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

fn read(spec: &Path, sweeps: &[&str]) -> Plan {
    let request = Request {
        spec: spec.to_path_buf(),
        sweeps: sweeps.iter().map(|text| text.to_string()).collect(),
        ..Request::default()
    };
    plan(&request).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn all_of_the_reference_are_there() {
    let names: Vec<String> = experiments()
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    for name in [
        "adv_train_mnv2",
        "attack_cifar10",
        "cifar10_mobilenet_v2",
        "mnist_lenet5",
        "mnist_mlp",
        "quickstart",
        "sim_one_layer_training",
        "sim_two_layer_attack",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is missing");
    }
}

#[test]
fn each_says_what_it_is_for() {
    for path in experiments() {
        let text = std::fs::read_to_string(&path).unwrap();
        let opening: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let opening = opening.join("\n");
        let file = path.file_name().unwrap().to_string_lossy();
        for part in [
            "Purpose:",
            "Source:",
            "Command:",
            "Expected time:",
            "Result:",
        ] {
            assert!(
                opening.contains(&format!("# {part}")),
                "{file}: no line \"{part}\""
            );
        }
        assert!(
            opening.contains(&format!("runner experiments/{file}")),
            "{file}: the command names another file"
        );
    }
}

#[test]
fn each_is_sound_and_named_after_its_file() {
    for path in experiments() {
        let plan = read(&path, &[]);
        assert_eq!(plan.warnings, [""; 0], "{}", path.display());
        assert_eq!(
            Some(plan.name.as_str()),
            path.file_stem().and_then(|stem| stem.to_str())
        );
    }
}

#[test]
fn resolved_specs_read_back_to_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for path in experiments() {
        for run in read(&path, &["seed=0,1"]).runs {
            let file = folder.path().join("spec.toml");
            std::fs::write(&file, &run.text).unwrap();
            let again = read(&file, &[]);
            assert_eq!(again.warnings, [""; 0], "{}", run.text);
            let again = &again.runs[0];
            assert_eq!(again.spec.stages, run.spec.stages);
            assert_eq!(again.spec.name, run.spec.name);
            assert_eq!(again.text, run.text);
            assert_eq!(again.hash, run.hash);
        }
    }
}
