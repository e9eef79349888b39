//! The settings of attacks.

use crate::harness::{TRAIN, attack, faults, remarks};

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
                "attack.n_queries: has no effect: only square uses it, also in auto-attack",
                "attack.n_target_classes: has no effect: only apgd-t and fab-t use it, also in auto-attack",
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
            "kind = \"auto-attack\"\nepsilon = 0.1\nk = 20\nn_queries = 10\nn_target_classes = 3\nattacks = [\"fab-t\"]\n",
            vec!["attack.n_queries: has no effect: only square uses it, also in auto-attack"],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nk = 20\nn_queries = 10\nn_target_classes = 3\nattacks = [\"square\"]\n",
            vec![
                "attack.k: has no effect: the attack counts queries, not steps: n_queries",
                "attack.n_target_classes: has no effect: only apgd-t and fab-t use it, also in auto-attack",
            ],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nk = 20\nn_queries = 10\nn_target_classes = 3\n",
            vec![],
        ),
        (
            "kind = \"fgsm\"\nepsilon = 0.1\nrestarts = 5\n",
            vec!["attack.restarts: has no effect: every start is the same without random_start"],
        ),
        (
            "kind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.1\nk = 3\nrandom_start = false\nrestarts = 5\n",
            vec!["attack.restarts: has no effect: every start is the same without random_start"],
        ),
        (
            "kind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.1\nk = 3\nrestarts = 5\n[linbp]\nattack = true\n",
            vec![],
        ),
        (
            "kind = \"square\"\nepsilon = 0.1\n[linbp]\nattack = true\nlayers = \"all\"\n",
            vec![
                "linbp.attack: has no effect: square asks for logits alone, and LinBP changes gradients",
                "linbp.layers: has no effect: linbp.train and linbp.attack are both off",
            ],
        ),
    ] {
        let found = remarks(&attack(lines));
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn settings_that_say_something_for_some_attacks_alone() {
    let evaluated = |lines: &str, attacks: &str| {
        let task = TRAIN.replace("\"train\"", "\"adversarial-train\"");
        remarks(&format!(
            "{task}[evaluate]\nattacks = [{attacks}]\n[attack]\nepsilon = 0.1\n{lines}\n"
        ))
    };
    let pgd = "kind = \"pgd\"\nstep_size = 0.02\n";
    assert_eq!(
        evaluated(&format!("{pgd}k = 5"), "\"pgd\", \"auto-attack\""),
        [
            "attack.k: 5 steps, which pgd takes, are few for auto-attack, whose own number is 100; attack by auto-attack in \
             a stage of its own"
        ]
    );
    assert_eq!(
        evaluated(&format!("{pgd}k = 100"), "\"pgd\", \"auto-attack\""),
        [""; 0]
    );
    assert_eq!(
        evaluated(
            &format!("{pgd}k = 5\ntarget = 3\ncompat = \"original\""),
            "\"square\""
        ),
        [
            "attack.compat: has no effect on square, whose ball is one of pixels",
            "attack.target: has no effect on square, which is content with any wrong class",
        ]
    );
    assert_eq!(
        evaluated(
            "kind = \"fgsm\"\nrestarts = 2\nstep_size = 0.02\nk = 5",
            "\"pgd\""
        ),
        ["attack.restarts: training takes the first try; only evaluations take all of them"]
    );
}
