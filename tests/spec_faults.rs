//! Bad specs and the exact words that they are refused with.

use std::path::Path;

use runner::spec::{Request, plan};

/// A sound spec, on whose ten lines the cases build.
const TRAIN: &str = "\
task = \"train\"
[data]
kind = \"digits\"
[model]
arch = \"lenet5\"
[optimizer]
lr = 0.1
[train]
epochs = 2
";

/// The faults of a spec called `a.toml`, without the folder that it lies in.
fn faults(text: &str, overrides: &[&str], sweeps: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, text).unwrap();
    let request = Request {
        spec: file,
        overrides: overrides.iter().map(|text| text.to_string()).collect(),
        sweeps: sweeps.iter().map(|text| text.to_string()).collect(),
        ..Request::default()
    };
    match plan(&request) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            let prefix = format!("{}/", folder.path().display());
            error
                .to_string()
                .replace(&prefix, "")
                .lines()
                .map(str::to_owned)
                .collect()
        }
    }
}

fn attack(lines: &str) -> String {
    format!(
        "task = \"attack\"\n[data]\nkind = \"digits\"\n[model]\narch = \"lenet5\"\nweights = \"w\"\n[attack]\n{lines}"
    )
}

#[test]
fn the_base_is_sound() {
    assert_eq!(faults(TRAIN, &[], &[]), [""; 0]);
    assert_eq!(
        faults(&attack("kind = \"fgsm\"\nepsilon = 0.1\n"), &[], &[]),
        [""; 0]
    );
}

#[test]
fn values_out_of_range() {
    let iterative = "kind = \"pgd\"\nstep_size = 0.1\nk = 5\n";
    for (line, expected) in [
        (
            "epsilon = 8",
            "a.toml:11: attack.epsilon: expected a number in (0, 1], found 8; write 8/255 as \"8/255\"",
        ),
        (
            "epsilon = 0",
            "a.toml:11: attack.epsilon: expected a number in (0, 1], found 0",
        ),
        (
            "epsilon = -0.5",
            "a.toml:11: attack.epsilon: expected a number in (0, 1], found -0.5",
        ),
        (
            "epsilon = nan",
            "a.toml:11: attack.epsilon: expected a number in (0, 1], found NaN",
        ),
        (
            "epsilon = \"x\"",
            "a.toml:11: attack.epsilon: expected a number in (0, 1], found \"x\"",
        ),
        (
            "epsilon = 200\nnorm = \"l2\"",
            "a.toml:11: attack.epsilon: expected a number in (0, 100], found 200; write 200/255 as \"200/255\"",
        ),
        (
            "epsilon = 0.1\nnorm = \"l3\"",
            "a.toml:12: attack.norm: expected one of \"linf\", \"l2\", found \"l3\"; did you mean \"l2\"?",
        ),
    ] {
        assert_eq!(
            faults(&attack(&format!("{iterative}{line}\n")), &[], &[]),
            [expected]
        );
    }
    let ball = "kind = \"pgd\"\nepsilon = 0.1\n";
    for (lines, expected) in [
        (
            "step_size = 0.1\nk = 0",
            vec!["a.toml:11: attack.k: expected a whole number from 1 to 1000000, found 0"],
        ),
        (
            "step_size = 0.1\nk = 1.5",
            vec!["a.toml:11: attack.k: expected a whole number from 1 to 1000000, found 1.5"],
        ),
        (
            "step_size = \"1/0\"\nk = 1",
            vec![
                "a.toml:10: attack.step_size: expected a number above 0, or a fraction such as \"2/255\", found \"1/0\"",
            ],
        ),
        (
            "",
            vec![
                "a.toml:7: attack.step_size: missing; pgd needs it: Length of a step, pixels in [0, 1]: a number or a fraction",
                "a.toml:7: attack.k: missing; pgd needs it: Number of steps",
            ],
        ),
    ] {
        let found = faults(&attack(&format!("{ball}{lines}\n")), &[], &[]);
        let (mut found, mut expected) = (found, expected);
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn single_faults() {
    for (from, to, expected) in [
        (
            "lr = 0.1",
            "lr = 0",
            "a.toml:7: optimizer.lr: expected a number above 0, found 0",
        ),
        (
            "lr = 0.1",
            "lr = \"fast\"",
            "a.toml:7: optimizer.lr: expected a number above 0, found \"fast\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\nmomentun = 0.9",
            "a.toml:8: optimizer.momentun: unknown key; did you mean \"momentum\"?",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\nk = 5",
            "a.toml:8: optimizer.k: unknown key; did you mean \"attack.k\"?",
        ),
        (
            "epochs = 2",
            "epochs = 2\nzzzzzz = 1",
            "a.toml:10: train.zzzzzz: unknown key; known are epochs",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digit\"",
            "a.toml:3: data.kind: expected one of \"cifar10\", \"mnist\", \"image-folder\", \"shapes\", \"digits\", \
             found \"digit\"; did you mean \"digits\"?",
        ),
        (
            "kind = \"digits\"",
            "kind = \"mnist\"",
            "a.toml:2: data.dir: missing; mnist is read from a folder: Folder of the files, relative to the working directory",
        ),
        (
            "arch = \"lenet5\"",
            "arch = \"lenet\"",
            "a.toml:5: model.arch: expected an architecture that `runner models` lists, found \"lenet\"; did you mean \"lenet5\"?",
        ),
        (
            "arch = \"lenet5\"",
            "arch = 5",
            "a.toml:5: model.arch: expected an architecture that `runner models` lists, found 5",
        ),
        (
            "task = \"train\"",
            "task = \"trian\"",
            "a.toml:1: task: expected one of \"simulate\", \"train\", \"adversarial-train\", \"attack\", \"evaluate\", \"transfer\", \
             found \"trian\"; did you mean \"train\"?",
        ),
        (
            "task = \"train\"",
            "",
            "a.toml: task: missing; what the stage does: \"simulate\", \"train\", \"adversarial-train\", \"attack\", \
             \"evaluate\" or \"transfer\"",
        ),
        (
            "epochs = 2",
            "",
            "a.toml:8: train.epochs: missing; Passes over the training set",
        ),
        (
            "[train]\nepochs = 2",
            "",
            "a.toml: train.epochs: missing; Passes over the training set",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\nnormalize = \"cifar10\"",
            "a.toml:4: data.normalize: expected statistics for the 1 channel of digits, found 3",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = \"random-crop\"",
            "a.toml:4: data.augment: expected a list, found \"random-crop\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\nnesterov = true",
            "a.toml:8: optimizer.nesterov: needs optimizer.momentum above 0",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[checkpoint]\nevery = \"often\"",
            "a.toml:9: checkpoint.every: expected an interval such as \"1 epoch\", \"500 steps\" or \"10 min\", found \"often\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[scheduler]\nkind = \"step\"",
            "a.toml:8: scheduler.milestones: step needs at least one epoch at which the rate changes",
        ),
        (
            "arch = \"lenet5\"",
            "arch = \"lenet5\"\nweights = \"@other\"",
            "a.toml:6: model.weights: refers to the stage \"other\", and this spec lists no [[stage]]",
        ),
        (
            "task = \"train\"",
            "name = \"../up\"\ntask = \"train\"",
            "a.toml:1: name: expected up to 100 letters, digits, -, _ and . (not first), for the folder under results/, \
             found \"../up\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[evaluate]\nattacks = []",
            "a.toml:9: evaluate.attacks: expected at least one of \"none\", \"fgsm\", \"i-fgsm\", \"mi-fgsm\", \"pgd\", \"apgd\", \"apgd-t\", \"fab\", \"fab-t\", \"square\", \"auto-attack\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = \"form:relu1\"",
            "a.toml:10: linbp.layers: expected \"default\", \"all\", \"from:NAME\", or a list of names or globs such as \
             [\"layer4.*\"], found \"form:relu1\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = [\"a[\"]",
            "a.toml:10: linbp.layers: expected \"default\", \"all\", \"from:NAME\", or a list of names or globs such as \
             [\"layer4.*\"], found [\"a[\"]; \"a[\" is no valid glob",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp.layers]\ntrian = \"all\"",
            "a.toml:9: linbp.layers.trian: unknown key; did you mean \"train\"?",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = { train = \"all\", attack = 5 }",
            "a.toml:10: linbp.layers.attack: expected \"default\", \"all\", \"from:NAME\", or a list of names or globs \
             such as [\"layer4.*\"], found 5",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nvariant = \"rescale\"",
            "a.toml:10: linbp.variant: expected one of \"plain\", \"rescaled\", found \"rescale\"; did you mean \
             \"rescaled\"?",
        ),
        (
            "arch = \"lenet5\"",
            "arch = \"lenet5\"\nactivation = \"tanh\"",
            "a.toml:6: model.activation: expected one of \"relu\", \"silu\", found \"tanh\"",
        ),
    ] {
        assert!(TRAIN.contains(from), "{from}");
        assert_eq!(
            faults(&TRAIN.replace(from, to), &[], &[]),
            [expected],
            "{to}"
        );
    }
}

#[test]
fn a_misspelt_section_is_missing_too() {
    assert_eq!(
        faults(&TRAIN.replace("[train]", "[trian]"), &[], &[]),
        [
            "a.toml: train.epochs: missing; Passes over the training set",
            "a.toml:8: trian: unknown key; did you mean \"train\"?",
        ]
    );
}

#[test]
fn three_faults_are_reported_at_once() {
    let text = TRAIN
        .replace("lenet5", "zzz")
        .replace("lr = 0.1", "lr = -1")
        .replace("epochs = 2", "epochs = 0");
    assert_eq!(
        faults(&text, &[], &[]),
        [
            "a.toml:5: model.arch: expected an architecture that `runner models` lists, found \"zzz\"",
            "a.toml:7: optimizer.lr: expected a number above 0, found -1",
            "a.toml:9: train.epochs: expected a whole number from 1 to 1000000000, found 0",
        ]
    );
}

#[test]
fn the_command_line_is_named() {
    for (given, expected) in [
        (
            "optimizer.lr=0",
            "command line: optimizer.lr: expected a number above 0, found 0",
        ),
        (
            "optimizer.rl=1",
            "command line: optimizer.rl: unknown key; did you mean \"lr\"?",
        ),
        (
            "optimiser.lr=1",
            "command line: optimiser: unknown key; did you mean \"optimizer\"?",
        ),
        (
            "optimizer=1",
            "command line: optimizer: expected a table, found 1",
        ),
        (
            "lr",
            "command line: lr: expected KEY=VALUE, such as attack.k=10, found \"lr\"",
        ),
        (
            "stage.a.seed=1",
            "command line: stage.a: this spec lists no [[stage]]",
        ),
        (
            "sweep.seed=[1]",
            "command line: sweep.seed: is set by --sweep KEY=V1,V2",
        ),
    ] {
        assert_eq!(faults(TRAIN, &[given], &[]), [expected], "{given}");
    }
}

#[test]
fn files_that_are_no_specs() {
    assert!(faults("a = = 1", &[], &[])[0].starts_with("a.toml:1: not valid TOML: "));
    assert_eq!(
        faults("extends = \"base.toml\"", &[], &[]),
        ["a.toml:1: extends: base.toml: cannot read: No such file or directory (os error 2)"]
    );
    assert_eq!(
        faults("extends = \"a.toml\"", &[], &[]),
        ["a.toml:1: extends: a.toml: extends itself in a circle"]
    );
    let missing = plan(&Request {
        spec: Path::new("no/such.toml").into(),
        ..Request::default()
    });
    assert_eq!(
        missing.unwrap_err().to_string(),
        "no/such.toml: cannot read: No such file or directory (os error 2)"
    );
    assert!(
        faults(&format!("#{}", "x".repeat(2 << 20)), &[], &[])[0]
            .contains("a spec has at most 1048576 bytes")
    );
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    std::fs::write(&spec, b"task = \"\xff\"").unwrap();
    let request = |spec: &Path| Request {
        spec: spec.to_path_buf(),
        ..Request::default()
    };
    let message = plan(&request(&spec)).unwrap_err().to_string();
    assert!(
        message.ends_with("a.toml: not UTF-8 text (byte 8)"),
        "{message}"
    );
    if cfg!(unix) {
        // It has no end, and says that it has no bytes.
        let message = plan(&request(Path::new("/dev/zero")))
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "/dev/zero: a spec has at most 1048576 bytes, this file has more"
        );
    }
}

#[test]
fn sweeps_are_refused_in_words() {
    for (sweep, expected) in [
        (
            "seed = []",
            "a.toml:11: sweep.seed: an empty list makes no runs; write at least one value",
        ),
        (
            "seed = 5",
            "a.toml:11: sweep.seed: expected a list of values, found 5",
        ),
        (
            "seed = [1, 1]",
            "a.toml:11: sweep.seed: the value 1 appears twice",
        ),
        (
            "\"optimizer.rl\" = [1]",
            "a.toml:11: optimizer.rl: unknown key; did you mean \"lr\"?",
        ),
        (
            "optimizer.lr = [1, 0]",
            "a.toml:11: optimizer.lr: expected a number above 0, found 0",
        ),
        ("name = [\"a\"]", "a.toml:11: sweep.name: cannot be swept"),
        (
            "optimizer.lr = [1, 1.0]",
            "sweep: optimizer.lr=1 and optimizer.lr=1.0 are the same run",
        ),
        (
            "seed = [1, 2]\nzip = [[\"seed\", \"train.epochs\"]]",
            "a.toml:12: sweep.zip: \"train.epochs\" is not swept here",
        ),
        (
            "seed = [1, 2]\n\"train.epochs\" = [1]\nzip = [[\"seed\", \"train.epochs\"]]",
            "a.toml:13: sweep.zip: pairs lists of one length, and \"seed\" has 2 values, \"train.epochs\" 1",
        ),
        (
            "seed = [1]\nexclude = [{ seed = 2 }]",
            "a.toml:12: sweep.exclude: \"seed\" never is 2",
        ),
        (
            "seed = [1]\nexclude = [{ seed = 1 }]",
            "a.toml:11: sweep.exclude: leaves out every run",
        ),
    ] {
        assert_eq!(
            faults(&format!("{TRAIN}[sweep]\n{sweep}\n"), &[], &[]),
            [expected],
            "{sweep}"
        );
    }
    let numbers = |count: usize| {
        (0..count)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(
        faults(
            TRAIN,
            &[],
            &[
                &format!("seed={}", numbers(101)),
                &format!("train.epochs={}", numbers(101)[2..].to_owned())
            ]
        ),
        ["command line: sweep: makes 10100 runs, more than the 10000 that one sweep may have"]
    );
    assert_eq!(
        faults(TRAIN, &["seed=1"], &["seed=1,2"]),
        ["command line: seed: is both set to one value and swept"]
    );
}

#[test]
fn references_between_stages() {
    let text = "\
[data]
kind = \"digits\"
[model]
arch = \"lenet5\"
[attack]
kind = \"fgsm\"
epsilon = 0.1
[optimizer]
lr = 0.1
[train]
epochs = 1
[[stage]]
id = \"a\"
task = \"train\"
model = { weights = \"@b\" }
[[stage]]
id = \"b\"
task = \"train\"
model = { weights = \"@a\" }
[[stage]]
id = \"craft\"
task = \"attack\"
model = { weights = \"@aa\" }
[[stage]]
id = \"self\"
task = \"train\"
model = { weights = \"@self\" }
[[stage]]
id = \"judge\"
task = \"evaluate\"
model = { weights = \"@craft\" }
data = { adversarial = \"@a\" }
[[stage]]
id = \"other\"
task = \"attack\"
model = { weights = \"@a\", arch = \"mlp\" }
attack = { epsilon = 0 }
";
    assert_eq!(
        faults(text, &[], &[]),
        [
            "a.toml:15: stage.a.model.weights: the stages a, b wait for each other in a circle",
            "a.toml:23: stage.craft.model.weights: refers to \"@aa\", which is no stage; did you mean \"@a\"?",
            "a.toml:27: stage.self.model.weights: refers to its own stage \"self\"",
            "a.toml:31: stage.judge.model.weights: expected a stage that leaves weights (task \"train\" or \
             \"adversarial-train\"), found \"@craft\", which has the task \"attack\"",
            "a.toml:32: stage.judge.data.adversarial: expected a stage that leaves adversarial images (task \"attack\"), \
             found \"@a\", which has the task \"train\"",
            "a.toml:37: stage.other.attack.epsilon: expected a number in (0, 1], found 0",
        ]
    );
    let sound = text.replace("epsilon = 0 ", "epsilon = 0.1 ");
    let sound = sound
        .replace("@b", "w")
        .replace("@aa", "@a")
        .replace("@self", "w")
        .replace("@craft", "@b");
    let sound = sound.replace("adversarial = \"@a\"", "adversarial = \"@craft\"");
    assert_eq!(
        faults(&sound, &[], &[]),
        [
            "a.toml:36: stage.other.model.weights: the weights of \"@a\" are those of lenet5, and the model here is mlp"
        ]
    );
    assert_eq!(
        faults(
            &sound,
            &["stage.kraft.seed=1", "stage.other.model.arch=lenet5"],
            &[]
        ),
        [
            "command line: stage.kraft: unknown stage; the stages are a, b, craft, self, judge, other"
        ]
    );
}

#[test]
fn attack_settings() {
    let apgd = "kind = \"apgd\"\nepsilon = 0.1\n";
    let ensemble = "kind = \"auto-attack\"\nepsilon = 0.1\n";
    let pgd = "kind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.1\nk = 5\n";
    for (base, line, expected) in [
        (
            apgd,
            "loss = \"cw\"",
            "a.toml:10: attack.loss: expected one of \"ce\", \"dlr\", found \"cw\"; did you mean \"ce\"?",
        ),
        (
            apgd,
            "restarts = 0",
            "a.toml:10: attack.restarts: expected a whole number from 1 to 1000, found 0",
        ),
        (
            apgd,
            "k = 0",
            "a.toml:10: attack.k: expected a whole number from 1 to 1000000, found 0",
        ),
        (
            ensemble,
            "attacks = []",
            "a.toml:10: attack.attacks: expected at least one of \"apgd-ce\", \"apgd-dlr\", \"apgd-t\", \"fab\", \
             \"fab-t\", \"square\"",
        ),
        (
            ensemble,
            "attacks = [\"square\", \"square\"]",
            "a.toml:10: attack.attacks: expected each attack at most once",
        ),
        (
            ensemble,
            "n_queries = 0",
            "a.toml:10: attack.n_queries: expected a whole number from 1 to 1000000000, found 0",
        ),
        (
            pgd,
            "target = \"likely\"",
            "a.toml:12: attack.target: expected \"none\", \"next-likely\", \"least-likely\" or the number of a class, found \
             \"likely\"",
        ),
        (
            pgd,
            "target = -1",
            "a.toml:12: attack.target: expected \"none\", \"next-likely\", \"least-likely\" or the number of a class, found -1",
        ),
        (
            pgd,
            "compat = \"original\"\nnorm = \"l2\"",
            "a.toml:13: attack.norm: expected \"linf\" with attack.compat = \"original\", found \"l2\"",
        ),
        (
            "kind = \"mi-fgsm\"\nepsilon = 0.1\nstep_size = 0.1\nk = 5\n",
            "decay = -1",
            "a.toml:12: attack.decay: expected a number of at least 0, found -1",
        ),
    ] {
        assert_eq!(
            faults(&attack(&format!("{base}{line}\n")), &[], &[]),
            [expected]
        );
    }
    let trained = format!(
        "{}[attack]\n{ensemble}",
        TRAIN.replace("\"train\"", "\"adversarial-train\"")
    );
    assert_eq!(
        faults(&trained, &[], &[]),
        [
            "a.toml:11: attack.kind: expected an attack that ascends a loss (fgsm, i-fgsm, mi-fgsm, pgd, apgd, apgd-t) to \
             train on, found \"auto-attack\""
        ]
    );
}

#[test]
fn attack_settings_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    for (lines, expected) in [
        (
            "kind = \"apgd\"\nepsilon = 0.1\nstep_size = 0.1\ndecay = 0.5\n",
            vec![
                "attack.step_size: has no effect: the attack chooses the size of its steps",
                "attack.decay: has no effect: only mi-fgsm uses it",
            ],
        ),
        (
            "kind = \"square\"\nepsilon = 0.1\nk = 3\nloss = \"dlr\"\ntarget = 3\n",
            vec![
                "attack.k: has no effect: the attack counts queries, not steps: n_queries",
                "attack.loss: has no effect: only apgd uses it",
                "attack.target: has no effect: only fgsm, i-fgsm, mi-fgsm and pgd take it",
            ],
        ),
        (
            "kind = \"i-fgsm\"\nepsilon = 0.1\nstep_size = 0.1\nk = 3\nrestarts = 5\nn_queries = 7\nn_target_classes = 2\n",
            vec![
                "attack.restarts: has no effect: every start is the same without random_start",
                "attack.n_queries: has no effect: only square and auto-attack use it",
                "attack.n_target_classes: has no effect: only apgd-t, fab-t and auto-attack use it",
            ],
        ),
        (
            "kind = \"fab\"\nepsilon = 0.1\ncompat = \"original\"\nattacks = [\"square\"]\n",
            vec![
                "attack.compat: has no effect: only fgsm, i-fgsm and pgd have units of the reference",
                "attack.attacks: has no effect: only auto-attack has members",
            ],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nk = 20\nn_queries = 10\nattacks = [\"fab-t\"]\n",
            vec![],
        ),
    ] {
        std::fs::write(&file, attack(lines)).unwrap();
        let request = Request {
            spec: file.clone(),
            ..Request::default()
        };
        let mut found: Vec<String> = plan(&request)
            .unwrap()
            .warnings
            .iter()
            .map(|line| {
                line.split_once(": ")
                    .expect("a place and a remark")
                    .1
                    .to_owned()
            })
            .collect();
        found.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
