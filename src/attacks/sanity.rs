//! Signs that a result under attack says little about the model: what is looked for, and the words of each warning.
//!
//! The list follows the checks of AutoAttack (Croce and Hein, arXiv 2003.01690) and "Obfuscated gradients give a false
//! sense of security" (Athalye, Carlini and Wagner, arXiv 1802.00420).

use std::fmt;

use super::{Attack, Originals, Victim};
use crate::Result;
use crate::ops::Real;
use crate::ops::real::view;
use crate::with_real;

/// A gradient that is zero for more than this share of the examples is no accident.
const ZERO_SHARE: f64 = 0.1;
/// A black-box attack that breaks more than this share of all examples after the white-box attacks found something that
/// their gradients did not show.
const BLACK_BOX_SHARE: f64 = 0.002;

/// One warning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// Every output lies in [0, 1] and each example's sum to 1: a loss of logits then saturates.
    ProbabilityOutputs,
    /// The gradient of the cross-entropy is exactly zero for this share of the examples.
    ZeroGradients { share: f64 },
    /// Two passes over the same images gave outputs that differ by up to this much: gradients of single passes mislead.
    RandomModel { difference: f64 },
    /// A black-box attack broke this share of all examples after the white-box attacks had failed on them.
    BlackBoxBeatWhiteBox { share: f64 },
}

impl Warning {
    /// The name under which docs/attacks.md explains it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProbabilityOutputs => "probability-outputs",
            Self::ZeroGradients { .. } => "zero-gradients",
            Self::RandomModel { .. } => "random-model",
            Self::BlackBoxBeatWhiteBox { .. } => "black-box-beat-white-box",
        }
    }

    /// Sends it to standard error and the run's log.
    pub fn emit(&self) {
        tracing::warn!(code = self.code(), "{self}");
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProbabilityOutputs => write!(
                f,
                "the model's outputs look like probabilities; attacks take logits, and the gradient of a saturated softmax \
                 vanishes: remove the softmax"
            ),
            Self::ZeroGradients { share } => write!(
                f,
                "the gradient is zero for {:.1} % of the examples of the first batch: white-box attacks cannot see the \
                 way there; compare with square",
                100.0 * share
            ),
            Self::RandomModel { difference } => write!(
                f,
                "the model is random: the same images gave outputs that differ by up to {difference:.1e}; this result is \
                 no lower bound of its robustness"
            ),
            Self::BlackBoxBeatWhiteBox { share } => write!(
                f,
                "square broke {:.1} % of the images after the white-box attacks had failed on them: the gradients mislead, \
                 and an attack adapted to the model may break more",
                100.0 * share
            ),
        }
    }
}

/// Looks at the model on one batch: two forward passes and one gradient.
pub fn examine(victim: &Victim<'_>, originals: Originals<'_>) -> Result<Vec<Warning>> {
    let Originals { images, labels, .. } = originals;
    let mut warnings = Vec::new();
    let (first, second) = (victim.logits(images)?, victim.logits(images)?);
    let (n, classes) = first.dims2()?;
    with_real!(first.dtype(), T => {
        let (a, b) = (&*view::<T>(&first)?, &*view::<T>(&second)?);
        let probabilities = |row: &[T]| {
            let sum: f64 = row.iter().map(|v| v.wide()).sum();
            row.iter().all(|v| (0.0..=1.0).contains(&v.wide())) && (sum - 1.0).abs() < 1e-3
        };
        if a.chunks_exact(classes).all(probabilities) {
            warnings.push(Warning::ProbabilityOutputs);
        }
        let differences = a.iter().zip(b).map(|(a, b)| (a.wide() - b.wide()).abs());
        let difference = differences.fold(0.0, f64::max);
        if difference > 0.0 {
            warnings.push(Warning::RandomModel { difference });
        }
        let gradient = victim.cross_entropy_gradient(images, labels)?;
        let gradient = &*view::<T>(&gradient)?;
        let zeros = gradient.chunks_exact(gradient.len() / n).filter(|image| image.iter().all(|g| *g == 0.0));
        let share = zeros.count() as f64 / n as f64;
        if share > ZERO_SHARE {
            warnings.push(Warning::ZeroGradients { share });
        }
        Ok(())
    })?;
    Ok(warnings)
}

/// Judges a series of attacks, each with the number of examples out of `examples` that it broke.
pub fn compare(attacks: &[(&dyn Attack, usize)], examples: usize) -> Option<Warning> {
    let white = attacks
        .iter()
        .position(|(attack, _)| !attack.is_black_box())?;
    let after = attacks[white..].iter();
    let broken: usize = after
        .filter(|(attack, _)| attack.is_black_box())
        .map(|(_, broken)| broken)
        .sum();
    let share = broken as f64 / examples.max(1) as f64;
    (share > BLACK_BOX_SHARE).then_some(Warning::BlackBoxBeatWhiteBox { share })
}
