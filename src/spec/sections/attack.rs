//! `[attack]`: how adversarial examples are made.

use crate::spec::choice::choices;
use crate::spec::fields::Fields;
use crate::spec::range::{Epsilon, Iterations, StepSize, fraction};
use crate::spec::section::section;
use crate::spec::task::Task;

choices! {
    /// The attacks.
    AttackKind {
        /// One signed gradient step of length epsilon (Goodfellow et al., 2015).
        Fgsm = "fgsm",
        /// `k` steps of length `step_size`, each projected back into the ball (Kurakin et al., 2017).
        IFgsm = "i-fgsm",
        /// As I-FGSM, from a uniformly random point of the ball (Madry et al., 2018).
        Pgd = "pgd",
    }
}

impl AttackKind {
    /// Whether the attack takes `k` steps of `step_size`; the others take one of length epsilon.
    pub fn is_iterative(self) -> bool {
        match self {
            Self::Fgsm => false,
            Self::IFgsm | Self::Pgd => true,
        }
    }
}

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
        /// The attack: "fgsm", "i-fgsm" or "pgd"; required.
        kind: AttackKind [required],
        /// Radius of the ball around the original, pixels in [0, 1]: a number or a fraction such as "8/255"; required.
        epsilon: Epsilon [by read_epsilon],
        /// Length of a step, pixels in [0, 1]: a number or a fraction; required for i-fgsm and pgd, none for fgsm.
        step_size: Option<StepSize> [optional],
        /// Number of steps; required for i-fgsm and pgd, none for fgsm.
        k: Option<Iterations> [optional],
        /// The norm of the ball: "linf" or "l2"; default "linf".
        norm: Norm [or Norm::Linf],
        /// Start from a random point of the ball; default true for pgd, false for the others.
        random_start: bool [or kind == Some(AttackKind::Pgd)],
        /// Mode of the model while it crafts in adversarial training: "eval" or "train"; default "eval".
        model_mode: ModelMode [or ModelMode::Eval],
        /// Write the adversarial images of an attack task as PNG files as well; default true.
        save_images: bool [or true],
    }
    check(fields) {
        let iterative = fields.attacks().iter().copied().find(|attack| attack.is_iterative());
        match iterative {
            Some(attack) => {
                fields.require_for("step_size", &step_size, &format!("{attack} needs it"));
                fields.require_for("k", &k, &format!("{attack} needs it"));
            }
            None if kind.is_some() => {
                fields.idle("step_size", &mut step_size, None, "fgsm takes one step of length epsilon");
                fields.idle("k", &mut k, None, "fgsm takes a single step");
            }
            None => {}
        }
        if !fields.task_is(&[Task::AdversarialTrain]) {
            fields.idle("model_mode", &mut model_mode, ModelMode::Eval, "only adversarial training uses it");
        }
        if !fields.task_is(&[Task::Attack]) {
            fields.idle("save_images", &mut save_images, true, "only the task attack saves images");
        }
    }
}

impl AttackSpec {
    /// These settings with another kind of attack, as `evaluate.attacks` asks for. Unless it is this section's own
    /// kind, the random start is that kind's default.
    pub fn with_kind(&self, kind: AttackKind) -> Self {
        if kind == self.kind {
            return self.clone();
        }
        Self {
            kind,
            random_start: kind == AttackKind::Pgd,
            ..self.clone()
        }
    }
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
                format!("a number in (0, {}]{hint}", Epsilon::max(norm))
            })
    })
}
