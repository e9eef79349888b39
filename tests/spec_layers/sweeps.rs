//! Sweeps and trial runs: which runs a command asks for, and under which names.

use runner::experiment::{Plan, plan};
use runner::spec::Request;

use crate::{BASE, Folder, labels};

#[test]
fn a_sweep_is_a_product_with_pairs_and_exclusions() {
    let sweep = "[sweep]\n\"linbp.train\" = [false, true]\noptimizer.lr = [0.1, 0.2]\ntrain.epochs = [3, 4]\n\
                 zip = [[\"optimizer.lr\", \"train.epochs\"]]\nexclude = [{ \"linbp.train\" = true, optimizer.lr = 0.2 }]\n";
    let folder = Folder::new(&[("a.toml", &format!("{BASE}{sweep}"))]);
    let plan = folder.plan("a.toml", &[], &[]);
    assert_eq!(plan.swept, ["linbp.train", "optimizer.lr", "train.epochs"]);
    assert_eq!(
        labels(&plan),
        [
            "linbp.train=false,optimizer.lr=0.1,train.epochs=3",
            "linbp.train=false,optimizer.lr=0.2,train.epochs=4",
            "linbp.train=true,optimizer.lr=0.1,train.epochs=3",
        ]
    );
    let run = &plan.runs[2];
    assert!(run.spec.stages[0].task.linbp().unwrap().train);
    assert_eq!(run.folder(), format!("{}-{}", run.label, run.hash));
    let root = folder.0.path().display();
    assert_eq!(
        run.spec.provenance["linbp.train"],
        format!("sweep {root}/a.toml:15")
    );

    // The command line fixes a swept key, replaces a list, or adds one.
    let fixed = folder.plan("a.toml", &["linbp.train=true"], &["seed=5,6"]);
    assert_eq!(fixed.swept, ["optimizer.lr", "train.epochs", "seed"]);
    let written = "[sweep]\n\"linbp.train\" = [false, true]\ntrain.epochs = [3, 4]\n";
    let folder = Folder::new(&[("b.toml", &format!("{BASE}{written}"))]);
    let replaced = folder.plan("b.toml", &[], &["linbp.train=true", "train.epochs=5"]);
    assert_eq!(labels(&replaced), ["linbp.train=true,train.epochs=5"]);
}

#[test]
fn a_run_is_the_same_whatever_else_is_swept() {
    let folder = Folder::new(&[("a.toml", BASE), ("b/a.toml", BASE)]);
    let hash = |plan: &Plan, seed: u64| {
        let run = plan.runs.iter().find(|run| run.spec.stages[0].seed == seed);
        run.map(|run| run.hash.clone()).unwrap()
    };
    let alone = folder.plan("a.toml", &["seed=2"], &[]);
    let few = folder.plan("a.toml", &[], &["seed=2,3"]);
    let many = folder.plan("b/a.toml", &[], &["seed=1,2,3", "train.epochs=2"]);
    assert_eq!(hash(&alone, 2), hash(&few, 2));
    assert_eq!(hash(&alone, 2), hash(&many, 2));
    assert_ne!(hash(&few, 2), hash(&few, 3));
    assert_eq!(alone.runs[0].folder(), alone.runs[0].hash);
}

#[test]
fn folders_are_safe_and_bounded() {
    let folder = Folder::new(&[("a.toml", BASE)]);
    let long = format!("[\"from:{}\"]", "é/".repeat(200));
    let plan = folder.plan(
        "a.toml",
        &["linbp.train=true"],
        &[&format!("linbp.layers={long}")],
    );
    let name = plan.runs[0].folder();
    assert!(
        name.len() <= 150 && name.ends_with(&plan.runs[0].hash),
        "{name}"
    );
    assert!(
        name.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_.,=+".contains(letter)),
        "{name}"
    );
}

#[test]
fn smoke_shrinks_and_stands_apart() {
    let folder = Folder::new(&[("a.toml", BASE)]);
    let request = Request {
        smoke: true,
        ..folder.request("a.toml")
    };
    let plan = plan(&request).unwrap();
    let stage = &plan.runs[0].spec.stages[0];
    assert_eq!(plan.name, "a-smoke");
    let task = stage.task.training().unwrap();
    assert_eq!(task.train.epochs, 1);
    let data = &task.data;
    assert_eq!(
        (data.train_limit, data.test_limit, data.batch_size),
        (Some(128), Some(64), 10)
    );
    assert_eq!(plan.runs[0].spec.provenance["train.epochs"], "--smoke");
    // Points that shrinking makes alike are run once.
    let request = Request {
        smoke: true,
        sweeps: vec!["train.epochs=5,6,1".into(), "seed=1,2".into()],
        ..folder.request("a.toml")
    };
    let labels: Vec<String> = runner::experiment::plan(&request)
        .unwrap()
        .runs
        .into_iter()
        .map(|run| run.label)
        .collect();
    assert_eq!(labels, ["train.epochs=5,seed=1", "train.epochs=5,seed=2"]);
}

#[test]
fn ten_thousand_runs_are_composed_in_seconds() {
    let folder = Folder::new(&[("a.toml", BASE)]);
    let numbers = |count: usize| {
        (0..count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let began = std::time::Instant::now();
    let plan = folder.plan("a.toml", &[], &[&format!("seed={}", numbers(10_000))]);
    assert_eq!(plan.runs.len(), 10_000);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn seeds_repeat_every_point() {
    let sweep = "[sweep]\nseeds = 3\noptimizer.lr = { from = 0.1, to = 0.3, n = 2 }\n";
    let folder = Folder::new(&[("a.toml", &format!("{BASE}{sweep}"))]);
    let plan = folder.plan("a.toml", &[], &[]);
    assert_eq!(plan.swept, ["optimizer.lr", "seed"]);
    let expected =
        [0.1, 0.3].map(|lr| [1, 2, 3].map(|seed| format!("optimizer.lr={lr},seed={seed}")));
    assert_eq!(labels(&plan), expected.concat());
    let seeds: Vec<u64> = plan
        .runs
        .iter()
        .map(|run| run.spec.stages[0].seed)
        .collect();
    assert_eq!(seeds, [1, 2, 3, 1, 2, 3]);

    let folder = Folder::new(&[("a.toml", BASE)]);
    let plan = folder.plan(
        "a.toml",
        &["seed=5"],
        &["seeds=2", "optimizer.lr={from=1,to=3,n=3}"],
    );
    assert_eq!(labels(&plan).len(), 6);
    assert_eq!(labels(&plan)[5], "optimizer.lr=3,seed=6");
}

#[test]
fn a_list_may_belong_to_some_combinations_alone() {
    let sweep = "[sweep]\noptimizer.kind = [\"sgd\", \"adamw\"]\noptimizer.momentum = [0.0]\n\
                 only = [{ where = { optimizer.kind = \"adamw\" }, optimizer.lr = [0.1, 0.2] },\n\
                 { where = { optimizer.kind = \"sgd\" }, optimizer.lr = [3, 4, 5] }]\n";
    let folder = Folder::new(&[("a.toml", &format!("{BASE}{sweep}"))]);
    let plan = folder.plan("a.toml", &[], &[]);
    assert_eq!(
        plan.swept,
        ["optimizer.kind", "optimizer.momentum", "optimizer.lr"]
    );
    assert_eq!(
        labels(&plan),
        [
            "optimizer.kind=sgd,optimizer.momentum=0.0,optimizer.lr=3",
            "optimizer.kind=sgd,optimizer.momentum=0.0,optimizer.lr=4",
            "optimizer.kind=sgd,optimizer.momentum=0.0,optimizer.lr=5",
            "optimizer.kind=adamw,optimizer.momentum=0.0,optimizer.lr=0.1",
            "optimizer.kind=adamw,optimizer.momentum=0.0,optimizer.lr=0.2",
        ]
    );
    // A key set from outside decides which lists there are.
    let plan = folder.plan("a.toml", &["optimizer.kind=sgd"], &[]);
    assert_eq!(plan.runs.len(), 3);
}

#[test]
fn a_longer_sample_begins_with_the_shorter_one() {
    let lists = "[sweep]\noptimizer.lr = { from = 1e-4, to = 1e-1, scale = \"log\" }\ntrain.epochs = [1, 2, 3, 4]\n";
    let grid = "[sweep]\noptimizer.lr = { from = 0.1, to = 1.0, n = 10 }\ntrain.epochs = [1, 2, 3, 4]\nseeds = 2\n";
    for (lists, seeds) in [(lists, 1), (grid, 2)] {
        let sampled = |n: usize, seed: u64| {
            let text = format!("{BASE}{lists}sample = {{ n = {n}, seed = {seed} }}\n");
            let folder = Folder::new(&[("a.toml", &text)]);
            let plan = folder.plan("a.toml", &[], &[]);
            let labels: Vec<String> = labels(&plan)
                .iter()
                .map(|label| label.to_string())
                .collect();
            assert_eq!(labels.len(), n * seeds);
            labels
        };
        let (short, long) = (sampled(5, 0), sampled(9, 0));
        assert!(
            short.iter().all(|label| long.contains(label)),
            "{short:?} {long:?}"
        );
        assert_eq!(short, sampled(5, 0));
        assert_ne!(short, sampled(5, 1));
    }
}

/// A recipe is several keys together, of which one may well be the same in two recipes.
#[test]
fn a_value_may_come_twice_in_lists_that_advance_together() {
    let sweep = "[sweep]\noptimizer.lr = [0.1, 0.1, 0.2]\ntrain.epochs = [3, 4, 3]\nzip = [[\"optimizer.lr\", \"train.epochs\"]]\n";
    let folder = Folder::new(&[("a.toml", &format!("{BASE}{sweep}"))]);
    let plan = folder.plan("a.toml", &[], &[]);
    let expected = [
        "0.1,train.epochs=3",
        "0.1,train.epochs=4",
        "0.2,train.epochs=3",
    ];
    assert_eq!(
        labels(&plan),
        expected.map(|end| format!("optimizer.lr={end}"))
    );
}
