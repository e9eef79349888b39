//! What a training minimises.

use crate::harness::{TRAIN, faults};

/// A sound spec of adversarial training, on whose seven lines the cases build.
const ADVERSARIAL: &str = "\
task = \"adversarial-train\"
data.kind = \"digits\"
model.arch = \"lenet5\"
optimizer.lr = 0.1
attack = { kind = \"pgd\", epsilon = 0.1, step_size = 0.1, k = 1 }
[train]
epochs = 1
";

#[test]
fn objectives() {
    for (base, line, expected) in [
        (
            TRAIN,
            "objective = \"claen\"",
            "a.toml:10: train.objective: expected one of \"clean\", \"adversarial\", \"trades\", \"mart\", \"free\", found \"claen\"; did you mean \"clean\"?",
        ),
        (
            TRAIN,
            "objective = \"adversarial\"",
            "a.toml:10: train.objective: \"adversarial\" trains on adversarial images, which is task = \"adversarial-train\"",
        ),
        (
            ADVERSARIAL,
            "objective = \"clean\"",
            "a.toml:8: train.objective: \"clean\" trains on clean images alone, which is task = \"train\"",
        ),
        (
            TRAIN,
            "objective = { beta = 6 }",
            "a.toml:10: train.objective.kind: missing; the objective",
        ),
        (
            TRAIN,
            "objective = { kind = \"clean\", kid = 6 }",
            "a.toml:10: train.objective.kid: unknown key; did you mean \"kind\"?",
        ),
        (
            TRAIN,
            "objective = \"trades\"",
            "a.toml:10: train.objective: \"trades\" trains on adversarial images, which is task = \"adversarial-train\"",
        ),
        (
            ADVERSARIAL,
            "objective = { kind = \"adversarial\", beta = 6 }",
            "a.toml:8: train.objective.beta: \"adversarial\" does not have it, unlike \"trades\", \"mart\"",
        ),
        (
            ADVERSARIAL,
            "objective = { kind = \"trades\", beta = 0 }",
            "a.toml:8: train.objective.beta: expected a number above 0, found 0",
        ),
        (
            ADVERSARIAL,
            "objective = { kind = \"trades\", bta = 1 }",
            "a.toml:8: train.objective.bta: unknown key; did you mean \"beta\"?",
        ),
    ] {
        let found = faults(&format!("{base}{line}\n"), &[], &[]);
        assert_eq!(found, [expected], "{line}");
    }
    for (base, line) in [
        (TRAIN, "objective = \"clean\""),
        (TRAIN, "objective = { kind = \"clean\" }"),
        (ADVERSARIAL, "objective = \"adversarial\""),
        (ADVERSARIAL, "objective = \"trades\""),
        (ADVERSARIAL, "objective = { kind = \"trades\", beta = 0.5 }"),
    ] {
        let found = faults(&format!("{base}{line}\n"), &[], &[]);
        assert_eq!(found, [""; 0], "{line}");
    }
}

#[test]
fn what_goes_on_beside_an_objective() {
    for (line, expected) in [
        (
            "label_smoothing = 1",
            "a.toml:8: train.label_smoothing: expected a number in [0, 1), found 1",
        ),
        (
            "objective = { kind = \"adversarial\", mix = 1.0 }",
            "a.toml:8: train.objective.mix: expected a number in [0, 1), found 1",
        ),
        (
            "awp = 0.005",
            "a.toml:8: train.awp: expected a table of settings, or \"none\", found 0.005",
        ),
        (
            "awp = {}",
            "a.toml:8: train.awp.gamma: missing; How far each tensor of weights is moved",
        ),
        (
            "awp = { gamma = 0 }",
            "a.toml:8: train.awp.gamma: expected a number above 0, found 0",
        ),
        (
            "awp = { gamma = 0.1, strat = 3 }",
            "a.toml:8: train.awp.strat: unknown key; did you mean \"start\"?",
        ),
        (
            "awp = { gamma = 0.1, layers = [] }",
            "a.toml:8: train.awp.layers: expected a list of globs, such as [\"layer4.*\"]",
        ),
        (
            "average = { decay = 0.9 }",
            "a.toml:8: train.average.kind: missing; The average",
        ),
        (
            "average = { kind = \"ema\" }",
            "a.toml:8: train.average.decay: missing; ema has no usual one",
        ),
        (
            "average = { kind = \"ema\", decay = 1 }",
            "a.toml:8: train.average.decay: expected a number in (0, 1), found 1",
        ),
        (
            "average = { kind = \"swa\" }",
            "a.toml:8: train.average.start: missing; swa averages the end of a training",
        ),
        (
            "average = { kind = \"swa\", start = 1 }",
            "a.toml:8: train.average.start: expected fewer than the 1 of train.epochs, found 1",
        ),
    ] {
        let found = faults(&format!("{ADVERSARIAL}{line}\n"), &[], &[]);
        let [only] = &found[..] else {
            panic!("{line}: {found:?}")
        };
        assert!(only.starts_with(expected), "{line}: {only}");
    }
    for line in [
        "awp = \"none\"",
        "awp = { gamma = \"1/200\", start = 10, layers = [\"conv*\"] }",
        "average = { kind = \"ema\", decay = 0.999, warmup = false }",
        "average = { kind = \"swa\", start = 0, every = 2 }",
        "label_smoothing = 0.1",
        "objective = { kind = \"adversarial\", mix = 0.5 }",
    ] {
        let found = faults(&format!("{ADVERSARIAL}{line}\n"), &[], &[]);
        assert_eq!(found, [""; 0], "{line}");
    }
}

#[test]
fn averages_are_referred_to_where_they_are_made() {
    let spec = |average: &str, weights: &str| {
        format!(
            "data.kind = \"digits\"\nmodel.arch = \"mlp\"\n[[stage]]\nid = \"learn\"\ntask = \"train\"\noptimizer.lr = 0.1\n\
             train = {{ epochs = 1{average} }}\n[[stage]]\nid = \"judge\"\ntask = \"evaluate\"\nmodel.weights = \"{weights}\"\n"
        )
    };
    let ema = ", average = { kind = \"ema\", decay = 0.9 }";
    for (average, weights) in [("", "@learn.ema"), (ema, "@learn.swa")] {
        let found = faults(&spec(average, weights), &[], &[]);
        let kind = weights.rsplit_once('.').unwrap().1;
        let expected = format!(
            "a.toml:11: stage.judge.model.weights: the stage \"learn\" makes no such average: its train.average is to be \
             {{ kind = \"{kind}\", ... }}"
        );
        assert_eq!(found, [expected], "{average} {weights}");
    }
    assert_eq!(faults(&spec(ema, "@learn.ema"), &[], &[]), [""; 0]);
}
