//! The settings of attacks.

use crate::harness::{TRAIN, attack, faults, filled, remarks};

#[test]
fn attack_settings() {
    let apgd = "kind = \"apgd\"\nepsilon = 0.1\n";
    let ensemble = "kind = \"auto-attack\"\nepsilon = 0.1\n";
    let pgd = "kind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.1\nk = 5\n";
    let iterative = "kind = \"i-fgsm\"\nepsilon = 0.1\nstep_size = 0.1\nk = 5\n";
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
            "a.toml:10: attack.attacks: expected at least one attack",
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
        (
            iterative,
            "momentum = \"nestrov\"",
            "a.toml:12: attack.momentum: expected one of \"none\", \"accumulated\", \"nesterov\", \"variance\", \"enhanced\", \
             found \"nestrov\"",
        ),
        (
            iterative,
            "momentum = { kind = \"variance\", samples = 0 }",
            "a.toml:12: attack.momentum.samples: expected a whole number from 1 to 1000000000, found 0",
        ),
        (
            iterative,
            "momentum = { kind = \"nesterov\", samples = 3 }",
            "a.toml:12: attack.momentum.samples: unknown key; known are kind",
        ),
        (
            iterative,
            "transform = [\"admix\", \"translation-invariant\"]",
            "a.toml:12: attack.transform: expected \"translation-invariant\" first: it smooths the gradient that the others leave",
        ),
        (
            iterative,
            "transform = [\"admix\", { kind = \"admix\" }]",
            "a.toml:12: attack.transform: expected each transformation at most once, found \"admix\" again",
        ),
        (
            iterative,
            "transform = [{ kind = \"translation-invariant\", kernel = 4 }]",
            "a.toml:12: attack.transform[0].kernel: expected an odd number below 1000",
        ),
        (
            iterative,
            "transform = [\"admix\"]\nearly_stop = true",
            "a.toml:13: attack.early_stop: expected false: attacks with momentum or transformations take all their steps",
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
        [filled(
            "a.toml:11: attack.kind: expected an attack that ascends a loss ({training}) to train on, found \"auto-attack\""
        )]
    );
}

#[test]
fn settings_of_other_attacks_are_refused() {
    for (lines, expected) in [
        (
            "kind = \"apgd\"\nepsilon = 0.1\nstep_size = 0.1\ndecay = 0.5\n",
            vec![
                "a.toml:10: attack.step_size: apgd has no step_size; {with step_size}",
                "a.toml:11: attack.decay: apgd has no decay; {with decay}",
            ],
        ),
        (
            "kind = \"square\"\nepsilon = 0.1\nk = 3\nloss = \"dlr\"\ntarget = 3\n",
            vec![
                "a.toml:10: attack.k: square has no k; {with k}",
                "a.toml:11: attack.loss: square has no loss; {with loss}",
                "a.toml:12: attack.target: square has no target; {with target}",
            ],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nk = 20\nn_queries = 10\nattacks = [\"square\"]\n",
            vec!["a.toml:10: attack.k: auto-attack has no k; {with k}"],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nk = 20\nn_queries = 10\nn_target_classes = 3\n",
            vec![],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nattacks = [{ kind = \"apgd\", decay = 3 }]\n",
            vec!["a.toml:10: attack.attacks[0].decay: apgd has no decay; {with decay}"],
        ),
        (
            "kind = \"auto-attack\"\nepsilon = 0.1\nattacks = [\"auto-attack\"]\n",
            vec!["a.toml:10: attack.attacks: an ensemble cannot be a member of an ensemble"],
        ),
        (
            "kind = \"apgd\"\nepsilon = 0.1\nmomentum = 0.5\n",
            vec!["a.toml:10: attack.momentum: apgd has no momentum; {with momentum}"],
        ),
        (
            "kind = \"apgd\"\nepsilon = 0.1\nnesterov = true\n",
            vec!["a.toml:10: attack.nesterov: unknown key; did you mean \"optimizer.nesterov\"?"],
        ),
        (
            "kind = \"mi-fgsm\"\nepsilon = 0.1\nstep_size = 0.1\nk = 2\nmomentum = \"nesterov\"\n",
            vec!["a.toml:12: attack.momentum: mi-fgsm has no momentum; {with momentum}"],
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().map(filled).collect();
        assert_eq!(faults(&attack(lines), &[], &[]), expected, "{lines}");
    }
    // A sweep over attacks has settings that only some of them take.
    let both = attack("epsilon = 0.1\nstep_size = 0.1\nk = 3\n");
    assert_eq!(faults(&both, &[], &["attack.kind=fgsm,pgd"]), [""; 0]);
    assert_eq!(
        faults(&both, &[], &["attack.kind=fgsm,square"]),
        [
            "a.toml:9: attack.step_size: fgsm has no step_size; {with step_size}",
            "a.toml:10: attack.k: fgsm has no k; {with k}",
        ]
        .map(filled)
    );
}

#[test]
fn lists_of_attacks() {
    let evaluated = |list: &str, lines: &str| {
        let text =
            format!("{TRAIN}[evaluate]\nattacks = [{list}]\n[attack]\nepsilon = 0.1\n{lines}");
        faults(&text, &[], &[])
    };
    for (list, lines, expected) in [
        (
            "\"none\", { kind = \"pgd\", k = 2, step_size = 0.1 }",
            "",
            "",
        ),
        (
            "{ kind = \"pgd\", k = 2 }",
            "",
            "a.toml:11: evaluate.attacks[0].step_size: missing; Length of a step, pixels in [0, 1]: a number or a fraction \
             such as \"2/255\"",
        ),
        (
            "{ kind = \"pgd\", k = 0, step_size = 0.1 }",
            "",
            "a.toml:11: evaluate.attacks[0].k: expected a whole number from 1 to 1000000, found 0",
        ),
        (
            "\"pgdd\"",
            "",
            "a.toml:11: evaluate.attacks[0]: expected one of {entries}, found \"pgdd\"; did you mean \
             \"pgd\"?",
        ),
        (
            "\"fgsm\", { kind = \"fgsm\", random_start = true }",
            "",
            "a.toml:11: evaluate.attacks: expected each attack at most once; a table { name = ..., kind = ... } can give it \
             another name",
        ),
        (
            "\"fgsm\", { name = \"rfgsm\", kind = \"fgsm\", random_start = true }",
            "",
            "",
        ),
        (
            "{ name = \"pgd\", kind = \"fgsm\" }",
            "",
            "a.toml:11: evaluate.attacks[0].name: expected up to 50 letters, digits, - and _, not the name of another attack, \
             found \"pgd\"",
        ),
        (
            "{ kind = \"fgsm\" }",
            "k = 3\n",
            "a.toml:14: attack.k: no attack takes it: those of the list have settings of their own",
        ),
    ] {
        let expected = std::iter::once(expected).filter(|line| !line.is_empty());
        let expected: Vec<String> = expected.map(filled).collect();
        assert_eq!(evaluated(list, lines), expected, "{list}");
    }
}

#[test]
fn attack_settings_without_effect() {
    let pgd = "kind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.1\nk = 3\nrestarts = 5\n";
    for (lines, expected) in [
        (
            "kind = \"fgsm\"\nepsilon = 0.1\nrestarts = 5\n".to_owned(),
            vec!["attack.restarts: has no effect: every start is the same without random_start"],
        ),
        (
            format!("{pgd}random_start = false\n"),
            vec!["attack.restarts: has no effect: every start is the same without random_start"],
        ),
        (
            pgd.replace("pgd", "ni-fgsm"),
            vec![
                "attack.restarts: has no effect: every try is the same: random_start is false, and nothing else draws random numbers",
            ],
        ),
        (pgd.replace("pgd", "di-fgsm"), vec![]),
        (pgd.replace("pgd", "vmi-fgsm"), vec![]),
        (format!("{pgd}[linbp]\nattack = true\n"), vec![]),
        (
            "kind = \"square\"\nepsilon = 0.1\n[linbp]\nattack = true\nlayers = \"all\"\n"
                .to_owned(),
            vec![
                "linbp.attack: has no effect: square asks for logits alone, and LinBP changes gradients",
                "linbp.layers: has no effect: linbp.train and linbp.attack are both off",
            ],
        ),
    ] {
        let found = remarks(&attack(&lines));
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
            "attack.k: 5 steps are few for apgd, whose own number is 100, which it takes as { kind = \"apgd\" } in the list",
            "attack.k: 5 steps are few for apgd-t, whose own number is 100, which it takes as { kind = \"apgd-t\" } in the list",
            "attack.k: 5 steps are few for fab-t, whose own number is 100, which it takes as { kind = \"fab-t\" } in the list"
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
