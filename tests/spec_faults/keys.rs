//! Faults of single keys and their values, and several at once.

use crate::harness::{TRAIN, attack, faults};

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
            "a.toml:11: attack.epsilon: expected a number in [0, 1], found 8; write 8/255 as \"8/255\"",
        ),
        (
            "epsilon = -0.5",
            "a.toml:11: attack.epsilon: expected a number in [0, 1], found -0.5",
        ),
        (
            "epsilon = nan",
            "a.toml:11: attack.epsilon: expected a number in [0, 1], found NaN",
        ),
        (
            "epsilon = \"x\"",
            "a.toml:11: attack.epsilon: expected a number in [0, 1], found \"x\"",
        ),
        (
            "epsilon = 200\nnorm = \"l2\"",
            "a.toml:11: attack.epsilon: expected a number in [0, 100], found 200; write 200/255 as \"200/255\"",
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
                "a.toml:7: attack.step_size: missing; Length of a step, pixels in [0, 1]: a number or a fraction such as \"2/255\"",
                "a.toml:7: attack.k: missing; Number of steps",
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
            "learning_rate = 0.1\nlr = 0.1",
            "a.toml:7: optimizer.learning_rate: unknown key; did you mean \"lr\"?",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\nalpha = 5",
            "a.toml:8: optimizer.alpha: unknown key; did you mean \"attack.step_size\"?",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n\"a\\nb\" = 5",
            "a.toml:8: optimizer.a\\nb: unknown key; known are kind, lr, momentum, nesterov, weight_decay, no_decay, clip_norm, betas, eps",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\nkind = \"adam\"\nbetas = [0.9, 0.999, 0.5]",
            "a.toml:9: optimizer.betas: expected a list of two numbers, found [0.9, 0.999, 0.5]",
        ),
        (
            "kind = \"digits\"",
            "kind = \"image-folder\"\ndir = \"d\"\nimage_size = [32, 32, 3]",
            "a.toml:5: data.image_size: expected a list of two numbers, found [32, 32, 3]",
        ),
        (
            "lr = 0.1",
            "",
            "a.toml:6: optimizer.lr: missing; the schedule constant starts from it: Learning rate, which the scheduler changes",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[scheduler]\nkind = \"cosine\"\nmin_lr = 0.5",
            "a.toml:10: scheduler.min_lr: expected at most optimizer.lr, which is 0.1, found 0.5",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[scheduler]\nwarmup_epochs = 3",
            "a.toml:9: scheduler.warmup_epochs: expected at most train.epochs, which is 2, found 3: the rate would never \
             reach optimizer.lr",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\nk = 5",
            "a.toml:8: optimizer.k: unknown key; did you mean \"attack.k\"?",
        ),
        (
            "epochs = 2",
            "epochs = 2\nzzzzzz = 1",
            "a.toml:10: train.zzzzzz: unknown key; known are epochs, objective, label_smoothing, awp, average, guard",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digit\"",
            "a.toml:3: data.kind: expected one of \"cifar10\", \"cifar100\", \"mnist\", \"svhn\", \"image-folder\", \"shapes\", \"digits\", \
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
            "a.toml:4: data.augment: expected a list of augmentations, found \"random-crop\"",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [\"random-crop\", \"cut-out\"]",
            "a.toml:4: data.augment[1]: expected one of \"random-crop\", \"horizontal-flip\", \"cutout\", \"random-erasing\", \"mixup\", \"cutmix\", found \"cut-out\"; did you mean \"cutout\"?",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [\"cutout\"]",
            "a.toml:4: data.augment[0].size: missing; The square's side in pixels",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [{ kind = \"cutout\", size = 0 }]",
            "a.toml:4: data.augment[0].size: expected a whole number from 1 to 1000000000, found 0",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [{ kind = \"mixup\", alpah = 1 }]",
            "a.toml:4: data.augment[0].alpah: unknown key; did you mean \"alpha\"?",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [{ kind = \"random-erasing\", scale = [0.5, 0.1] }]",
            "a.toml:4: data.augment[0].scale: expected the least and then the most, at most 1, found [0.5, 0.1]",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [{ size = 3 }]",
            "a.toml:4: data.augment[0].kind: missing; which one it is",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\naugment = [\"mixup\", \"random-crop\"]",
            "a.toml:4: data.augment: expected \"random-crop\" before \"mixup\", which works on what it leaves",
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
            "a.toml:9: evaluate.attacks: expected at least \"none\" or an attack",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = \"search\"",
            "a.toml:10: linbp.layers: \"search\" looks for layers whose images carry over, in the task transfer: name some here",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = \"form:relu1\"",
            "a.toml:10: linbp.layers: expected \"default\", \"all\", \"none\", \"search\", \"from:NAME\", or a list of names or globs such as \
             [\"layer4.*\"], found \"form:relu1\"",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = [\"a[\"]",
            "a.toml:10: linbp.layers: expected \"default\", \"all\", \"none\", \"search\", \"from:NAME\", or a list of names or globs such as \
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
            "a.toml:10: linbp.layers.attack: expected \"default\", \"all\", \"none\", \"search\", \"from:NAME\", or a list of names or globs \
             such as [\"layer4.*\"], found 5",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nvariant = \"rescale\"",
            "a.toml:10: linbp.variant: expected one of \"plain\", \"rescaled\", \"silu\", \"softplus\", found \"rescale\"; did you \
             mean \"rescaled\"?",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nlayers = \"none\"",
            "a.toml:10: linbp.layers: \"none\" leaves ordinary backpropagation: choose activations, set max_pool or \
             branch_decay, or leave LinBP off",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[linbp]\ntrain = true\nbranch_decay = { train = 0.5, attack = 1.5 }",
            "a.toml:10: linbp.branch_decay.attack: expected a number in [0, 1], found 1.5",
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
fn other_names_of_attack_settings_are_known() {
    for (written, meant) in [("steps", "k"), ("alpha", "step_size"), ("eps", "epsilon")] {
        let lines = format!("kind = \"pgd\"\nepsilon = 0.1\n{written} = 1\n");
        let found = faults(&attack(&lines), &[], &[]);
        let expected =
            format!("a.toml:10: attack.{written}: unknown key; did you mean \"{meant}\"?");
        assert!(found.contains(&expected), "{found:?}");
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
