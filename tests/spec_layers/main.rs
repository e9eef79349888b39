//! Which layer wins, what each value remembers of it, and what a sweep is made of.

mod sweeps;
mod values;

use std::path::PathBuf;

use proptest::prelude::*;
use runner::experiment::{Plan, Task, plan};
use runner::models::{Moment, WeightsRef};
use runner::pipeline::{Graph, stage_keys};
use runner::spec::Request;

const BASE: &str = "\
task = \"train\"
seed = 1
[data]
kind = \"digits\"
batch_size = 10
[model]
arch = \"lenet5\"
[optimizer]
lr = 0.5
momentum = 0.5
weight_decay = 0.5
[train]
epochs = 2
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn request(&self, spec: &str) -> Request {
        Request {
            spec: self.path(spec),
            ..Request::default()
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn plan(&self, spec: &str, overrides: &[&str], sweeps: &[&str]) -> Plan {
        let request = Request {
            overrides: overrides.iter().map(|text| text.to_string()).collect(),
            sweeps: sweeps.iter().map(|text| text.to_string()).collect(),
            ..self.request(spec)
        };
        plan(&request).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.runs.iter().map(|run| run.label.as_str()).collect()
}

#[test]
fn later_layers_win_and_every_value_knows_its_layer() {
    let folder = Folder::new(&[
        ("base/base.toml", BASE),
        (
            "middle.toml",
            "extends = \"base/base.toml\"\n[optimizer]\nmomentum = 0.6\nweight_decay = 0.6\n",
        ),
        (
            "a.toml",
            "extends = \"middle.toml\"\n[optimizer]\nweight_decay = 0.7\n[evaluate]\nevery = 2\n",
        ),
    ]);
    let request = Request {
        overrides: vec!["train.epochs=9".into(), "data.eval_batch_size=7".into()],
        environment: vec![
            ("RUNNER_TRAIN__EPOCHS".into(), "8".into()),
            ("RUNNER_EVALUATE__EVERY".into(), "3".into()),
            ("RUNNER_OS".into(), "Linux".into()),
        ],
        ..folder.request("a.toml")
    };
    let plan = plan(&request).unwrap();
    let spec = &plan.runs[0].spec;
    let stage = &spec.stages[0];
    let task = stage.task.training().unwrap();
    let optimizer = &task.optimizer;
    assert_eq!(
        (optimizer.lr, optimizer.momentum, optimizer.weight_decay),
        (Some(0.5), 0.6, 0.7)
    );
    assert_eq!(task.train.epochs, 9);
    assert_eq!(task.evaluate.every, 3);
    assert_eq!(stage.seed, 1);
    assert_eq!(
        spec.name, "a",
        "the file's name, where no layer names the experiment"
    );
    let root = folder.0.path().display();
    for (key, layer) in [
        ("name", "default".to_owned()),
        ("seed", format!("extends {root}/base/base.toml:2")),
        ("optimizer.lr", format!("extends {root}/base/base.toml:9")),
        (
            "optimizer.momentum",
            format!("extends {root}/middle.toml:3"),
        ),
        ("optimizer.weight_decay", format!("spec {root}/a.toml:3")),
        ("optimizer.nesterov", "default".to_owned()),
        (
            "evaluate.every",
            "environment RUNNER_EVALUATE__EVERY".to_owned(),
        ),
        ("train.epochs", "command line".to_owned()),
        ("data.eval_batch_size", "command line".to_owned()),
    ] {
        assert_eq!(spec.provenance.get(key), Some(&layer), "{key}");
    }
    assert_eq!(plan.warnings, [""; 0]);
}

#[test]
fn stages_overlay_the_spec_and_take_over_what_they_refer_to() {
    let text = "\
data = { kind = \"digits\", batch_size = 10 }
optimizer = { lr = 0.5 }
train = { epochs = 2 }
attack = { kind = \"fgsm\", epsilon = 0.5 }
[[stage]]
id = \"train\"
task = \"train\"
model = { arch = \"mlp\", widths = [5] }
optimizer = { momentum = 0.9 }
[[stage]]
id = \"craft\"
task = \"attack\"
model = { weights = \"@train\" }
attack = { epsilon = 0.25 }
";
    let folder = Folder::new(&[("a.toml", text)]);
    let plan = folder.plan("a.toml", &["stage.craft.attack.norm=l2"], &[]);
    let spec = &plan.runs[0].spec;
    let (train, craft) = (&spec.stages[0], &spec.stages[1]);
    let optimizer = &train.task.training().unwrap().optimizer;
    assert_eq!((optimizer.lr, optimizer.momentum), (Some(0.5), 0.9));
    let Task::Attack(task) = &craft.task else {
        panic!("{craft:?}");
    };
    let model = &task.model;
    assert_eq!(
        (model.arch.as_str(), model.widths.as_deref()),
        ("mlp", Some(&[5][..]))
    );
    let weights = WeightsRef::Stage("train".into(), Moment::Final);
    assert_eq!(model.weights, Some(weights));
    assert_eq!(task.attack.head.epsilon.get(), 0.25);
    assert_eq!(spec.provenance["stage.craft.attack.norm"], "command line");
    // Every stage that attacks sets its own epsilon, so the spec's has no effect.
    let root = folder.0.path().display();
    assert_eq!(
        plan.warnings,
        [format!(
            "{root}/a.toml:4: attack.epsilon: has no effect: every stage sets its own; one stage's key is \
             stage.ID.attack.epsilon"
        )]
    );
}

/// What is not written is in the resolved spec all the same, where its value is known.
#[test]
fn the_resolved_spec_shows_what_is_in_effect() {
    let folder = Folder::new(&[("a.toml", BASE)]);
    let text = |overrides: &[&str]| folder.plan("a.toml", overrides, &[]).runs[0].text.clone();
    let attack = ["task=attack", "attack.epsilon=0.1"];
    let with = |more: &[&'static str]| text(&[&attack[..], more].concat());
    let steps = ["attack.step_size=0.1", "attack.k=3"];
    let pgd = with(&[&["attack.kind=pgd"], &steps[..]].concat());
    assert!(pgd.contains("random_start = true\n"), "{pgd}");
    let i_fgsm = with(&[&["attack.kind=i-fgsm"], &steps[..]].concat());
    assert!(i_fgsm.contains("random_start = false\n"), "{i_fgsm}");
    let apgd_t = with(&["attack.kind=apgd-t"]);
    assert!(apgd_t.contains("k = 100\n"), "{apgd_t}");
    assert!(!apgd_t.contains("random_start"), "{apgd_t}");
    assert!(text(&["scheduler.kind=cosine"]).contains("t_max = 2\n"));
    assert!(
        text(&["model.arch=mlp"]).contains("widths = [\n    400,\n    200,\n    100,\n]")
            || text(&["model.arch=mlp"]).contains("widths = [400, 200, 100]")
    );
    let mobile = ["model.arch=mobilenet_v2", "data.kind=shapes"];
    assert!(text(&mobile).contains("dropout = 0.2\n"));
    let judged = text(&[&mobile[..], &["task=evaluate"]].concat());
    assert!(!judged.contains("dropout"), "nothing is dropped: {judged}");
    // What is written and what holds anyway are one run.
    let hash = |overrides: &[&str]| folder.plan("a.toml", overrides, &[]).runs[0].hash.clone();
    assert_eq!(
        hash(&[&attack[..], &["attack.kind=pgd"], &steps[..]].concat()),
        hash(
            &[
                &attack[..],
                &["attack.kind=pgd", "attack.random_start=true"],
                &steps[..]
            ]
            .concat()
        ),
    );
}

#[test]
fn a_stage_s_checkpoints_are_named() {
    let text = "data.kind = \"digits\"\n[[stage]]\nid = \"train\"\ntask = \"train\"\nmodel = { arch = \"lenet5\" }\n\
                optimizer.lr = 0.1\ntrain.epochs = 1\n[[stage]]\nid = \"judge\"\ntask = \"evaluate\"\n\
                model = { weights = \"@train\" }\n";
    let folder = Folder::new(&[("a.toml", text)]);
    let mut keys = Vec::new();
    for (weights, moment) in [
        ("@train", Moment::Final),
        ("@train.best", Moment::Best),
        ("@train.last", Moment::Last),
    ] {
        let plan = folder.plan(
            "a.toml",
            &[&format!("stage.judge.model.weights={weights}")],
            &[],
        );
        let run = &plan.runs[0];
        let model = run.spec.stages[1].task.models()[0].1;
        assert_eq!(
            model.weights,
            Some(WeightsRef::Stage("train".into(), moment))
        );
        assert_eq!(model.arch, "lenet5", "taken over from the stage");
        assert!(
            run.text.contains(&format!("weights = \"{weights}\"")),
            "{}",
            run.text
        );
        let graph = Graph::new(&run.spec);
        assert_eq!(graph.inputs(1), [0]);
        keys.push(stage_keys(&run.spec, &graph, &vec![Vec::new(); run.spec.stages.len()]).unwrap());
    }
    assert!(keys.iter().all(|key| key[0] == keys[0][0]));
    assert!(keys[0][1] != keys[1][1] && keys[1][1] != keys[2][1]);
}

/// Reads a resolved spec again.
fn again(text: &str) -> Plan {
    let folder = Folder::new(&[("spec.toml", text)]);
    folder.plan("spec.toml", &[], &[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_resolved_spec_reads_back_to_itself(
        lr in 1e-12f64..1e3,
        epsilon in 1e-9f64..=1.0,
        step in (1u32..100, 1u32..1000),
        k in 1usize..1000,
        seed in 0u64..=i64::MAX as u64,
        kind in prop::sample::select(vec!["sgd", "adam", "adamw"]),
        schedule in prop::sample::select(vec!["constant", "step", "exponential", "cosine", "one-cycle"]),
        linbp in any::<(bool, bool)>(),
        layers in prop::sample::select(vec![
            "default", "all", "from:relu1", "[\"a*\", \"b.c\"]", "{ train = \"all\", attack = [\"a*\"] }",
            "{ attack = \"from:relu1\" }",
        ]),
        variant in prop::sample::select(vec!["plain", "rescaled"]),
        activation in prop::sample::select(vec!["relu", "silu"]),
        normalize in prop::sample::select(vec!["none", "mnist", "{ mean = [0.5], std = [0.25] }"]),
        every in prop::sample::select(vec!["2 epochs", "7 steps", "3 min"]),
    ) {
        let folder = Folder::new(&[("a.toml", BASE)]);
        let plan = folder.plan("a.toml", &[
            "task=adversarial-train",
            "attack.kind=pgd",
            &format!("attack.epsilon={epsilon:?}"),
            &format!("attack.step_size={}/{}", step.0, step.1),
            &format!("attack.k={k}"),
            &format!("seed={seed}"),
            &format!("optimizer.lr={lr:?}"),
            &format!("optimizer.kind={kind}"),
            &format!("scheduler.kind={schedule}"),
            "scheduler.gamma=0.3",
            "scheduler.max_lr=1",
            "scheduler.milestones=[3, 9]",
            "scheduler.warmup_epochs=2",
            "train.epochs=10",
            &format!("linbp.train={}", linbp.0),
            &format!("linbp.attack={}", linbp.1),
            &format!("linbp.layers={layers}"),
            &format!("linbp.variant={variant}"),
            &format!("model.activation={activation}"),
            &format!("data.normalize={normalize}"),
            &format!("checkpoint.every={every}"),
        ], &[]);
        let run = &plan.runs[0];
        let read = again(&run.text);
        prop_assert_eq!(&read.runs[0].spec.stages, &run.spec.stages);
        prop_assert_eq!(&read.runs[0].text, &run.text);
        prop_assert_eq!(&read.runs[0].hash, &run.hash);
        prop_assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    }
}

#[test]
fn layers_of_one_use_are_settings_of_their_own() {
    let folder = Folder::new(&[(
        "a.toml",
        "task = \"adversarial-train\"\n[data]\nkind = \"digits\"\n[model]\narch = \"lenet5\"\n[optimizer]\nlr = 0.5\n\
         [train]\nepochs = 2\n[attack]\nkind = \"fgsm\"\nepsilon = 0.1\n[linbp]\ntrain = true\nattack = true\n\
         layers = { train = \"all\", attack = [\"relu*\"] }\n",
    )]);
    let both = folder.plan("a.toml", &["linbp.layers.attack=from:relu3"], &[]);
    let (spec, text) = (&both.runs[0].spec, &both.runs[0].text);
    let root = folder.0.path().display();
    assert_eq!(
        spec.provenance["linbp.layers.train"],
        format!("spec {root}/a.toml:16")
    );
    assert_eq!(spec.provenance["linbp.layers.attack"], "command line");
    assert!(
        text.contains("train = \"all\"\nattack = \"from:relu3\""),
        "{text}"
    );
    assert_eq!(both.warnings, [""; 0]);

    // A use that is off makes no difference, and says so.
    let off = folder.plan("a.toml", &["linbp.train=false"], &[]);
    assert_eq!(
        off.warnings,
        [format!(
            "{root}/a.toml:16: linbp.layers.train: has no effect: linbp.train is off"
        )]
    );
    let single = folder.plan(
        "a.toml",
        &["linbp.train=false", "linbp.layers=[\"relu*\"]"],
        &[],
    );
    assert_eq!(off.runs[0].hash, single.runs[0].hash);

    let swept = folder.plan("a.toml", &[], &["linbp.layers.train=default,all"]);
    assert_eq!(
        labels(&swept),
        ["linbp.layers.train=default", "linbp.layers.train=all"]
    );
    assert_ne!(swept.runs[0].hash, swept.runs[1].hash);
}
