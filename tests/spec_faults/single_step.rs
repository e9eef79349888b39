//! Single-step adversarial training: attacks for training alone, the guard, held-back images.

use crate::harness::{TRAIN, attack, faults};

/// A sound spec of adversarial training, on whose seven lines the cases build.
const ADVERSARIAL: &str = "\
task = \"adversarial-train\"
data.kind = \"digits\"
model.arch = \"lenet5\"
optimizer.lr = 0.1
attack = { kind = \"n-fgsm\", epsilon = 0.1 }
[train]
epochs = 1
";

const INSIDE: &str =
    "expected an attack that stays inside its ball, not one for training alone, found \"n-fgsm\"";

#[test]
fn images_outside_the_ball_are_for_training() {
    assert_eq!(faults(ADVERSARIAL, &[], &[]), [""; 0]);
    for (attacks, key) in [
        ("[\"n-fgsm\"]", "evaluate.attacks[0]"),
        (
            "[\"none\", { kind = \"n-fgsm\" }]",
            "evaluate.attacks[1].kind",
        ),
    ] {
        let found = faults(
            &format!("{ADVERSARIAL}[evaluate]\nattacks = {attacks}\n"),
            &[],
            &[],
        );
        assert_eq!(found, [format!("a.toml:9: {key}: {INSIDE}")]);
    }
    assert_eq!(
        faults(&attack("kind = \"n-fgsm\"\nepsilon = 0.1\n"), &[], &[]),
        [format!("a.toml:8: attack.kind: {INSIDE}")]
    );
}

#[test]
fn guards() {
    for (base, line, expected) in [
        (
            ADVERSARIAL,
            "guard = { drop = 0.3 }",
            "a.toml:8: train.guard.on_collapse: missing; What follows a collapse: \"stop\" (the run fails), \"warn\", or \"restore\" \
             (the weights of the epoch before become the final ones)",
        ),
        (
            ADVERSARIAL,
            "guard = { on_collapse = \"halt\" }",
            "a.toml:8: train.guard.on_collapse: expected one of \"stop\", \"warn\", \"restore\", found \"halt\"",
        ),
        (
            ADVERSARIAL,
            "guard = { on_collapse = \"stop\", drop = 20 }",
            "a.toml:8: train.guard.drop: expected a number in (0, 1), found 20",
        ),
        (
            ADVERSARIAL,
            "guard = { on_collapse = \"stop\", step = 20 }",
            "a.toml:8: train.guard.step: unknown key; known are on_collapse, drop, images, k",
        ),
        (
            ADVERSARIAL,
            "guard = \"stop\"",
            "a.toml:8: train.guard: expected a table such as { on_collapse = \"restore\" }",
        ),
        (
            TRAIN,
            "guard = { on_collapse = \"stop\" }",
            "a.toml:10: train.guard: watches robust accuracy, which is of task = \"adversarial-train\"",
        ),
    ] {
        let found = faults(&format!("{base}{line}\n"), &[], &[]);
        assert_eq!(found, [expected], "{line}");
    }
}

#[test]
fn some_images_stay_to_train_on() {
    let found = faults(ADVERSARIAL, &["data.validation=60000"], &[]);
    assert!(
        found[0].contains("data.validation: expected fewer than the "),
        "{found:?}"
    );
    let found = faults(
        ADVERSARIAL,
        &["data.validation=100", "data.train_limit=100"],
        &[],
    );
    assert!(
        found[0].contains("expected fewer than the 100 training images"),
        "{found:?}"
    );
    assert_eq!(faults(ADVERSARIAL, &["data.validation=1000"], &[]), [""; 0]);
}

#[test]
fn objectives_have_their_settings() {
    let found = faults(
        &format!("{ADVERSARIAL}objective = {{ kind = \"free\", replays = 0 }}\n"),
        &[],
        &[],
    );
    let expected =
        "a.toml:8: train.objective.replays: expected a whole number from 1 to 1000000000, found 0";
    assert_eq!(found, [expected]);
}
