//! What every attack goes through: it runs, its result is checked, and only then is anything counted.

use candle_core::Tensor;

use super::objective::rivals;
use super::{Attack, Checks, Goal, Originals, Victim};
use crate::{Error, Result};

pub use crate::ops::running_sums::{correct, predictions};

/// Runs `attack` and checks that every image that it returns is finite, in the ball and in the pixel range. They lie where
/// the attack keeps its books: on the CPU, or where the originals do.
pub fn craft(
    attack: &dyn Attack,
    victim: &Victim<'_>,
    originals: Originals<'_>,
) -> Result<(Tensor, Checks)> {
    // That ball holds the original alone, and there is no direction to go.
    if attack.threat().epsilon == 0.0 {
        return Ok((originals.images.clone(), Checks::default()));
    }
    let images = attack.perturb(victim, originals)?;
    let checks = attack
        .threat()
        .check(attack.name(), &images, originals.images)?;
    Ok((images, checks))
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
