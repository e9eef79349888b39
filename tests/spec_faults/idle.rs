//! Settings that change nothing: each is named, and none can be swept.

use std::ffi::OsString;

use runner::experiment::plan;
use runner::spec::Request;

use crate::harness::{TRAIN, attack, faults, filled, remarks};

#[test]
fn settings_without_effect_are_named() {
    for (from, to, expected) in [
        (
            "arch = \"lenet5\"",
            "arch = \"lenet5\"\ndropout = 0.5",
            "model.dropout: has no effect: lenet5 has no dropout",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[scheduler]\nkind = \"one-cycle\"\nmax_lr = 0.1",
            "optimizer.lr: has no effect: one-cycle takes its rates from scheduler.max_lr",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\ntrain_limit = 60001",
            "data.train_limit: has no effect: digits has no more than 60000 of these images",
        ),
        (
            "kind = \"digits\"",
            "kind = \"digits\"\ntest_limit = 10001",
            "data.test_limit: has no effect: digits has no more than 10000 of these images",
        ),
        (
            "lr = 0.1",
            "lr = 0.1\n[evaluate]\nattacks = [\"fgsm\"]\n[attack]\nkind = \"square\"\nepsilon = 0.1",
            "attack.kind: has no effect: evaluate.attacks says which attacks there are",
        ),
    ] {
        assert!(TRAIN.contains(from), "{from}");
        assert_eq!(remarks(&TRAIN.replace(from, to)), [expected], "{to}");
    }
    // What holds anyway does not mislead.
    let whole = TRAIN.replace(
        "kind = \"digits\"",
        "kind = \"digits\"\ntrain_limit = 60000",
    );
    assert_eq!(remarks(&whole), [""; 0]);
    let judged = attack("kind = \"fgsm\"\nepsilon = 0\n").replace(
        "kind = \"digits\"",
        "kind = \"digits\"\nbatch_size = 8\neval_batch_size = 16",
    );
    assert_eq!(
        remarks(&judged),
        [
            "data.batch_size: has no effect: only training takes steps, and data.eval_batch_size says how large other \
             batches are"
        ]
    );
    let stages = "seed = 7\ndata.kind = \"digits\"\n[[stage]]\nid = \"a\"\ntask = \"train\"\nseed = 1\n\
                  model.arch = \"mlp\"\noptimizer.lr = 0.1\ntrain.epochs = 1\n";
    assert_eq!(
        remarks(stages),
        ["seed: has no effect: every stage sets its own; one stage's key is stage.ID.seed"]
    );
}

#[test]
fn keys_without_effect_cannot_be_swept() {
    let why = |key: &str, why: &str| {
        [format!(
            "command line: {key}: cannot be swept, it has no effect: {why}"
        )]
    };
    assert_eq!(
        faults(TRAIN, &[], &["model.dropout=0,0.3,0.5"]),
        why("model.dropout", "lenet5 has no dropout")
    );
    assert_eq!(
        faults(TRAIN, &[], &["attack.k=1,2"]),
        why("attack.k", "the task train does not use it")
    );
    let cycle = TRAIN.replace(
        "lr = 0.1",
        "[scheduler]\nkind = \"one-cycle\"\nmax_lr = 0.1",
    );
    assert_eq!(
        faults(&cycle, &[], &["optimizer.lr=0.1,0.2"]),
        why(
            "optimizer.lr",
            "one-cycle takes its rates from scheduler.max_lr"
        )
    );
    // A single value, and the one that holds anyway.
    assert_eq!(
        faults(TRAIN, &["optimizer.kind=adam"], &["optimizer.momentum=0"]),
        why(
            "optimizer.momentum",
            "adam has its own averages; see optimizer.betas"
        )
    );
    assert_eq!(
        faults(TRAIN, &[], &["data.train_limit=60001,70000"]),
        why(
            "data.train_limit",
            "digits has no more than 60000 of these images"
        )
    );
    // A key that has an effect at some points.
    let fgsm = attack("epsilon = 0.1\nstep_size = 0.1\n");
    assert_eq!(
        faults(&fgsm, &[], &["attack.kind=fgsm,pgd", "attack.k=1,2"]),
        [filled(
            "sweep: attack.kind=fgsm,attack.k=1 and attack.kind=fgsm,attack.k=2 are the same run: attack.k has no effect in \
             the second: fgsm has no k; {with k}"
        )]
    );
    let text = format!(
        "{fgsm}[sweep]\nattack.kind = [\"fgsm\", \"pgd\"]\nattack.k = [1, 2]\nzip = [[\"attack.kind\", \"attack.k\"]]\n"
    );
    assert_eq!(faults(&text, &[], &[]), [""; 0]);
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    std::fs::write(&spec, TRAIN).unwrap();
    let environment = vec![
        (
            "RUNNER_TRAIN__EPOCHS".into(),
            OsString::from_vec(b"1\xff".to_vec()),
        ),
        ("RUNNER_NAME".into(), OsString::from_vec(b"\xff".to_vec())),
    ];
    let plan = plan(&Request {
        spec,
        environment,
        ..Request::default()
    });
    assert_eq!(
        plan.unwrap_err().to_string(),
        "environment RUNNER_TRAIN__EPOCHS: not UTF-8 text"
    );
}
