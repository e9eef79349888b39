//! `[attack]`: how adversarial examples are made.

use super::attack_kind::{AttackKind, AttackLoss, Compat, EnsembleMember};
use super::attack_target::AttackTarget;
use crate::spec::choice::choices;
use crate::spec::fields::Fields;
use crate::spec::range::{Count, Epsilon, Iterations, NonNegative, Restarts, StepSize, fraction};
use crate::spec::section::section;
use crate::spec::task::Task;

choices! {
    /// The norm that bounds a perturbation.
    Norm {
        /// The largest change of any pixel.
        Linf = "linf",
        /// The Euclidean length of the change of the whole image.
        L2 = "l2",
    }
}

choices! {
    /// The mode in which a model answers while adversarial examples are made during training.
    ModelMode {
        /// Running statistics in batch norm, no dropout.
        Eval = "eval",
        /// Batch statistics (which move the running ones) and dropout.
        Train = "train",
    }
}

section! {
    /// How adversarial examples are made.
    AttackSpec {
        /// The attack: "fgsm", "i-fgsm", "mi-fgsm", "pgd", "apgd", "apgd-t", "fab", "fab-t", "square" or "auto-attack"; required,
        /// but where evaluate.attacks or transfer.attacks says which.
        kind: AttackKind [by read_kind],
        /// Radius of the ball around the original, pixels in [0, 1]: a number or a fraction such as "8/255"; required.
        epsilon: Epsilon [by read_epsilon],
        /// Length of a step, pixels in [0, 1]: a number or a fraction; required for i-fgsm, mi-fgsm and pgd, none for the others.
        step_size: Option<StepSize> [optional],
        /// Number of steps; required for i-fgsm, mi-fgsm and pgd, also beside others, which then take as many; otherwise 100.
        k: Option<Iterations> [optional],
        /// The norm of the ball: "linf" or "l2"; default "linf".
        norm: Norm [or Norm::Linf],
        /// Start from a random point of the ball: all attacks of fixed step size, or none; default pgd alone.
        random_start: Option<bool> [optional],
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1],
        /// Share of the accumulated gradient that a step of mi-fgsm keeps, mu in the paper; default 1.
        decay: f64 [as NonNegative, or 1.0],
        /// What apgd ascends: "ce" (cross-entropy) or "dlr" (difference of logits ratio); default "ce".
        loss: AttackLoss [or AttackLoss::Ce],
        /// The class that fgsm, i-fgsm, mi-fgsm and pgd aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: AttackTarget [or AttackTarget::None],
        /// Wrong classes that apgd-t and fab-t go for, the likeliest first; default 9, or all where there are fewer.
        n_target_classes: Option<usize> [optional as Count],
        /// Proposals of square for each example; default 5000.
        n_queries: usize [as Count, or 5000],
        /// The members of auto-attack in order; default the standard version, ["apgd-ce", "apgd-t", "fab-t", "square"].
        attacks: Vec<EnsembleMember> [or EnsembleMember::STANDARD.to_vec()],
        /// "original": a ball of 2 epsilon in normalised units, and the raw logit as loss of fgsm and i-fgsm; default "none".
        compat: Compat [or Compat::None],
        /// Mode of the model while it crafts in adversarial training: "eval" or "train"; default "eval".
        model_mode: ModelMode [or ModelMode::Eval],
        /// Write the adversarial images of an attack task as PNG files as well; default true.
        save_images: bool [or true],
    }
    check(fields) {
        let uses = fields.uses;
        let kinds = &uses.attacks[..];
        if !uses.by_kind && let Some(&first) = kinds.first() {
            let section = if uses.task == Some(Task::Transfer) { "transfer" } else { "evaluate" };
            fields.idle("kind", &mut kind, first, &format!("{section}.attacks says which attacks there are"));
        }
        let stepping = kinds.iter().copied().find(|kind| kind.has_step_size());
        match stepping {
            Some(attack) => {
                fields.require_for("step_size", &step_size, &format!("{attack} needs it"));
                fields.require_for("k", &k, &format!("{attack} needs it"));
            }
            None if kinds.contains(&AttackKind::Fgsm) => {
                fields.idle("step_size", &mut step_size, None, "fgsm takes one step of length epsilon");
            }
            None if !kinds.is_empty() => {
                fields.idle("step_size", &mut step_size, None, "the attack chooses the size of its steps");
            }
            None => {}
        }
        if !uses.any(|kind| kind.has_step_size() || kind.has_budget()) {
            let why = match kinds {
                [AttackKind::Fgsm] => "fgsm takes a single step",
                _ => "the attack counts queries, not steps: n_queries",
            };
            fields.idle("k", &mut k, None, why);
        }
        let other = uses.other(|kind| !kind.has_budget());
        if let (Some(steps), Some(Some(few)), Some(other)) = (stepping, k, other)
            && few.get() < AttackKind::BUDGET
        {
            let message = format!(
                "{} steps, which {steps} takes, are few for {other}, whose own number is {}; attack by {other} in a stage of \
                 its own", few.get(), AttackKind::BUDGET
            );
            fields.warn("k", &message);
        }
        if k == Some(None) && uses.some(AttackKind::has_budget) {
            k = Some(Iterations::new(AttackKind::BUDGET));
        }
        if !uses.any(AttackKind::has_gradient_steps) {
            fields.idle("random_start", &mut random_start, None, "the attack has a start of its own");
            fields.idle("target", &mut target, AttackTarget::None, "only fgsm, i-fgsm, mi-fgsm and pgd take it");
        }
        if random_start == Some(None) {
            random_start = Some(uses.random_start());
        }
        if let Some(random_start) = random_start {
            let starts_alike = |kind: AttackKind| {
                kind.has_gradient_steps() && !random_start.unwrap_or(kind.has_random_start())
            };
            if !uses.any(|kind| !starts_alike(kind)) {
                fields.idle("restarts", &mut restarts, 1, "every start is the same without random_start");
            }
        }
        if uses.task == Some(Task::AdversarialTrain) && restarts.is_some_and(|count| count > 1) {
            fields.warn("restarts", "training takes the first try; only evaluations take all of them");
        }
        if !uses.any(|kind| kind == AttackKind::MiFgsm) {
            fields.idle("decay", &mut decay, 1.0, "only mi-fgsm uses it");
        }
        if !kinds.is_empty() && !kinds.contains(&AttackKind::Apgd) {
            fields.idle("loss", &mut loss, AttackLoss::Ce, "only apgd uses it");
        }
        if !uses.any(AttackKind::has_targets) {
            fields.idle("n_target_classes", &mut n_target_classes, None, "only apgd-t and fab-t use it, also in auto-attack");
        } else if n_target_classes == Some(None) && uses.some(AttackKind::has_targets) {
            n_target_classes = Some(uses.beside.classes.map(AttackKind::target_classes));
        }
        if !uses.any(AttackKind::has_queries) {
            fields.idle("n_queries", &mut n_queries, 5000, "only square uses it, also in auto-attack");
        }
        if !kinds.is_empty() && !kinds.contains(&AttackKind::AutoAttack) {
            let standard = EnsembleMember::STANDARD.to_vec();
            fields.idle("attacks", &mut attacks, standard, "only auto-attack has members");
        }
        if let Some(list) = &attacks {
            fields.each_once("attacks", list, EnsembleMember::NAMES);
        }
        if !uses.any(AttackKind::has_original) {
            fields.idle("compat", &mut compat, Compat::None, "only fgsm, i-fgsm and pgd have units of the reference");
        }
        // What changes the meaning of a result, and does so for some of the attacks alone.
        if compat == Some(Compat::Original)
            && let Some(other) = uses.other(AttackKind::has_original)
        {
            fields.warn("compat", &format!("has no effect on {other}, whose ball is one of pixels"));
        }
        if target.is_some_and(|target| target != AttackTarget::None)
            && let Some(other) = uses.other(AttackKind::has_gradient_steps)
        {
            fields.warn("target", &format!("has no effect on {other}, which is content with any wrong class"));
        }
        if compat == Some(Compat::Original) && norm == Some(Norm::L2) {
            fields.fault("norm", "expected \"linf\" with attack.compat = \"original\", found \"l2\"");
        }
        if fields.task_is(&[Task::AdversarialTrain])
            && uses.task.is_some()
            && let Some(kind) = kind.filter(|kind| !kind.is_for_training())
        {
            let message = format!(
                "expected an attack that ascends a loss (fgsm, i-fgsm, mi-fgsm, pgd, apgd, apgd-t) to train on, found \"{kind}\""
            );
            fields.fault("kind", &message);
        }
        if !fields.task_is(&[Task::AdversarialTrain]) {
            fields.idle("model_mode", &mut model_mode, ModelMode::Eval, "only adversarial training uses it");
        }
        if !fields.task_is(&[Task::Attack]) {
            fields.idle("save_images", &mut save_images, true, "only the task attack saves images");
        }
    }
}

/// Reads the kind; where others are named elsewhere, it is the first of those.
fn read_kind(fields: &mut Fields, key: &'static str) -> Option<AttackKind> {
    if fields.uses.by_kind {
        return fields.required(key);
    }
    let first = fields.uses.attacks.first().copied();
    fields.optional(key)?.or(first)
}

/// Reads epsilon against the range of the section's norm.
fn read_epsilon(fields: &mut Fields, key: &'static str) -> Option<Epsilon> {
    let norm = fields.peek("norm").unwrap_or(Norm::Linf);
    fields.required_by(key, |value| {
        let number = match value.as_str() {
            Some(text) => fraction(text),
            None => value
                .to_f64()
                .or_else(|| value.to_i128().map(|number| number as f64)),
        };
        number
            .and_then(|number| Epsilon::new(number, norm))
            .ok_or_else(|| {
                let hint = match number {
                    Some(number) if number > 1.0 => {
                        format!("; write {number}/255 as \"{number}/255\"")
                    }
                    _ => String::new(),
                };
                format!("a number in [0, {}]{hint}", Epsilon::max(norm))
            })
    })
}
