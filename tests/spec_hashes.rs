//! What tells runs apart: by the hash of their settings, results of earlier versions are found again.

use std::path::Path;

use runner::experiment::{PlannedRun, plan};
use runner::spec::Request;

/// Specs that together have every section and every attack, with nothing in them that has a default.
const SPECS: &[(&str, &str, &str)] = &[
    (
        "train",
        "task = \"train\"\ndata.kind = \"digits\"\nmodel.arch = \"lenet5\"\noptimizer.lr = 0.1\ntrain.epochs = 1\n",
        "6182b74d",
    ),
    (
        "adversarial-train",
        "task = \"adversarial-train\"\ndata.kind = \"shapes\"\nmodel.arch = \"resnet18\"\noptimizer = { kind = \"adam\", lr = 0.1 }\n\
         train.epochs = 1\nevaluate.attacks = [\"none\", \"apgd\"]\n\
         attack = { kind = \"pgd\", epsilon = 0.1, step_size = 0.1, k = 1 }\n",
        "744ca287",
    ),
    (
        "evaluate",
        "task = \"evaluate\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\nattack.epsilon = 0.1\n\
         evaluate.attacks = [\"fgsm\", \"apgd\", \"apgd-t\", \"fab\", \"fab-t\", \"square\", \"auto-attack\", \
         { kind = \"i-fgsm\", step_size = 0.1, k = 1 }, { kind = \"mi-fgsm\", step_size = 0.1, k = 1 }, \
         { kind = \"ni-fgsm\", step_size = 0.1, k = 1 }]\n",
        "7fa3bb47",
    ),
    (
        "attacks-on-features",
        "task = \"evaluate\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\nattack.epsilon = 0.1\n\
         evaluate.attacks = [{ kind = \"ila\", step_size = 0.1, k = 1 }, { kind = \"fia\", step_size = 0.1, k = 1 }]\n",
        "f5ff8f02",
    ),
    (
        "attack",
        "task = \"attack\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\nattack = { kind = \"fgsm\", epsilon = 0.1 }\n",
        "dbe2fbad",
    ),
    (
        "transfer",
        "task = \"transfer\"\ndata.kind = \"digits\"\ntransfer.models.a.arch = \"mlp\"\n\
         attack = { kind = \"fgsm\", epsilon = 0.1 }\n",
        "5d49f500",
    ),
    (
        "simulate-attack",
        "task = \"simulate\"\nsimulate.kind = \"two-layer-attack\"\n",
        "b47c5594",
    ),
    (
        "simulate-training",
        "task = \"simulate\"\nsimulate.kind = \"one-layer-training\"\n",
        "d20dbbba",
    ),
    (
        "train-layers",
        "task = \"train\"\ndata.kind = \"digits\"\noptimizer.lr = 0.1\ntrain.epochs = 1\n\
         model.layers = [\"conv 4 3x3\", { residual = [\"conv 4 1x1\"] }, \"flatten\", \"linear 10\"]\n",
        "0504a08f",
    ),
    (
        "train-average",
        "task = \"train\"\ndata.kind = \"digits\"\nmodel.arch = \"lenet5\"\noptimizer.lr = 0.1\n\
         train = { epochs = 1, awp = { gamma = 0.01 }, average = { kind = \"ema\", decay = 0.9 } }\n",
        "10b79c80",
    ),
    (
        "train-augment",
        "task = \"train\"\ndata = { kind = \"shapes\", augment = [\"random-crop\", \"horizontal-flip\"] }\n\
         model.arch = \"resnet18\"\noptimizer.lr = 0.1\ntrain.epochs = 1\n",
        "2e37f498",
    ),
];

fn planned(name: &str, text: &str, overrides: &[&str]) -> PlannedRun {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join(format!("{name}.toml"));
    std::fs::write(&spec, text).unwrap();
    let plan = plan(&Request {
        spec,
        overrides: overrides
            .iter()
            .map(|&setting| setting.to_owned())
            .collect(),
        ..Request::default()
    });
    plan.unwrap_or_else(|error| panic!("{name}: {error}"))
        .runs
        .remove(0)
}

/// A hash that changes hides all results that there are of such a run.
#[test]
fn runs_keep_their_hashes() {
    let found: Vec<String> = SPECS
        .iter()
        .map(|(name, text, _)| format!("{name} {}", planned(name, text, &[]).hash))
        .collect();
    let expected: Vec<String> = SPECS
        .iter()
        .map(|(name, _, hash)| format!("{name} {hash}"))
        .collect();
    assert_eq!(found, expected);
}

/// A default that changes changes what a run means, and its hash has to change with it: the key then says `was` and the
/// default that it had, and `tests/fixtures/defaults.toml` the new one. A key that is added only takes its line there.
#[test]
fn defaults_are_those_that_the_hashes_stand_for() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/defaults.toml");
    let texts = SPECS
        .iter()
        .map(|(name, text, _)| planned(name, text, &[]).text);
    let found = texts.collect::<Vec<_>>().join("\n");
    if std::env::var_os("RUNNER_WRITE_DEFAULTS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&file).unwrap());
}

#[test]
fn resolved_specs_read_back_to_themselves() {
    for (name, text, _) in SPECS {
        let run = planned(name, text, &[]);
        let again = planned(name, &run.text, &[]);
        assert_eq!((&again.text, &again.hash), (&run.text, &run.hash));
        let (before, after) = (&run.spec.warnings, &again.spec.warnings);
        assert!(after.len() <= before.len(), "{before:?} {after:?}");
    }
}

#[test]
fn what_is_written_and_holds_anyway_changes_no_hash() {
    let (name, text, _) = SPECS[1];
    let hash = |overrides: &[&str]| planned(name, text, overrides).hash;
    for same in [
        "attack.random_start=true",
        "attack.restarts=1",
        "linbp.train=false",
        "optimizer.eps=1e-8",
        "seed=0",
    ] {
        assert_eq!(hash(&[same]), hash(&[]), "{same}");
    }
    for other in [
        "attack.random_start=false",
        "linbp.train=true",
        "optimizer.eps=1e-7",
        "seed=1",
        "checkpoint.keep=3",
    ] {
        assert_ne!(hash(&[other]), hash(&[]), "{other}");
    }
}
