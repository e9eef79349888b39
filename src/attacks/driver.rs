//! What every attack goes through: it runs, its result is checked, and only then is anything counted.

use candle_core::{Device, Tensor};

use super::objective::rivals;
use super::{Attack, Goal, Originals, Target};
use crate::ops::real::view;
use crate::{Error, Result, with_real};

/// Runs `attack` and checks that every image that it returns is finite, in the ball and in the pixel range. Images of a
/// card come back from the CPU where the attack keeps its books there.
pub fn craft(attack: &dyn Attack, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
    let brought;
    let mut originals = originals;
    if !attack.stays_on_card() {
        brought = originals.images.to_device(&Device::Cpu)?;
        originals.images = &brought;
    }
    // That ball holds the original alone, and there is no direction to go.
    if attack.threat().epsilon == 0.0 {
        return Ok(originals.images.clone());
    }
    let images = attack.perturb(target, originals)?;
    inspect(attack, &images, originals)?;
    Ok(images)
}

/// Checks what `attack` made of `originals`.
pub(super) fn inspect(
    attack: &dyn Attack,
    images: &Tensor,
    originals: Originals<'_>,
) -> Result<()> {
    attack
        .threat()
        .check(attack.name(), images, originals.images)
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

/// The class with the largest logit of each row; the first of equal ones.
pub fn predictions(logits: &Tensor) -> Result<Vec<u32>> {
    let (_, classes) = logits.dims2()?;
    let logits = &logits.to_device(&Device::Cpu)?;
    with_real!(logits.dtype(), T => {
        let logits = view::<T>(logits)?;
        Ok(logits
            .chunks_exact(classes)
            .map(|row| {
                let mut best = 0;
                for (class, value) in row.iter().enumerate() {
                    if *value > row[best] {
                        best = class;
                    }
                }
                best as u32
            })
            .collect())
    })
}

/// How many rows of `logits` have their largest logit at the label.
pub fn correct(logits: &Tensor, labels: &[u32]) -> Result<u64> {
    let predictions = predictions(logits)?;
    Ok(predictions
        .iter()
        .zip(labels)
        .filter(|(a, b)| a == b)
        .count() as u64)
}
