//! What every attack goes through: it runs, its result is checked, and only then is anything counted.

use candle_core::Tensor;

use super::objective::rivals;
use super::{Attack, Checks, Goal, Originals, Victim};
use crate::nn::loss::{Reduction, cross_entropy};
use crate::{Error, Result};

pub use crate::ops::running_sums::{correct, predictions};

/// Runs `attack` and checks that every image that it returns is finite, in the ball and in the pixel range. They lie where
/// the originals do.
pub fn craft(
    attack: &dyn Attack,
    victim: &Victim<'_>,
    originals: Originals<'_>,
) -> Result<(Tensor, Checks)> {
    let (images, checks, ()) = craft_by(attack, originals, || {
        Ok((attack.perturb(victim, originals)?, ()))
    })?;
    Ok((images, checks))
}

/// The same with the steps that [`Attack::perturb_counting`] counts.
pub(super) fn craft_counting(
    attack: &dyn Attack,
    victim: &Victim<'_>,
    originals: Originals<'_>,
) -> Result<(Tensor, Checks, Option<Vec<usize>>)> {
    craft_by(attack, originals, || {
        attack.perturb_counting(victim, originals)
    })
}

fn craft_by<T: Default>(
    attack: &dyn Attack,
    originals: Originals<'_>,
    perturb: impl FnOnce() -> Result<(Tensor, T)>,
) -> Result<(Tensor, Checks, T)> {
    // That ball holds the original alone, and there is no direction to go.
    if attack.threat().epsilon == 0.0 {
        return Ok((originals.images.clone(), Checks::default(), T::default()));
    }
    let (images, steps) = perturb()?;
    let checks = attack
        .threat()
        .check(attack.name(), &images, originals.images)?;
    Ok((images, checks, steps))
}

/// The softmax probability of the model's answer to each image.
pub(super) fn confidences(logits: &Tensor) -> Result<Vec<f64>> {
    let losses = cross_entropy(logits, &predictions(logits)?, Reduction::Sum)?.per_example;
    Ok(losses.into_iter().map(|loss| (-loss).exp()).collect())
}

/// Whether `answer`, to an adversarial image of class `label`, is what the attack on it wants: the class `wanted`, or any but
/// the label. The one rule of success, whatever was done to the image since: nothing, rounding, or another model that looks
/// at it.
pub(super) fn succeeds(answer: u32, label: u32, wanted: Option<u32>) -> bool {
    match wanted {
        None => answer != label,
        Some(wanted) => answer == wanted,
    }
}

/// The class that a targeted attack wants for each example, by the logits of the clean images; nothing where any but the
/// label will do. `clean`: those logits, batch by batch.
pub(super) fn goals(goal: Goal, clean: &[Tensor], labels: &[u32]) -> Result<Option<Vec<u32>>> {
    let clean = &Tensor::cat(clean, 0)?;
    let (n, classes) = clean.dims2()?;
    let rivals = || -> Result<_> {
        let rivals = rivals(clean, labels)?;
        match classes {
            0 | 1 => Err(Error::failed("a model of one class has no other to aim at")),
            _ => Ok(rivals),
        }
    };
    Ok(Some(match goal {
        Goal::Misclassify => return Ok(None),
        Goal::NextLikely => rivals()?.iter().map(|others| others[0]).collect(),
        Goal::LeastLikely => rivals()?
            .iter()
            .map(|others| others[others.len() - 1])
            .collect(),
        Goal::Class(class) if (class as usize) < classes => vec![class; n],
        Goal::Class(class) => {
            return Err(Error::failed(format!(
                "attack.target: expected a class below {classes}, found {class}"
            )));
        }
    }))
}
