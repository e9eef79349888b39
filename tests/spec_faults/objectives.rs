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
