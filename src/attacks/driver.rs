//! What every attack goes through: it runs, its result is checked, and only then is anything counted.

use candle_core::Tensor;

use super::{Attack, Originals, Target};
use crate::ops::real::view;
use crate::{Result, with_real};

/// Runs `attack` and checks that every image that it returns is finite, in the ball and in the pixel range.
pub fn craft(attack: &dyn Attack, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
    let images = attack.perturb(target, originals)?;
    attack
        .threat()
        .check(attack.name(), &images, originals.images)?;
    Ok(images)
}

/// The class with the largest logit of each row; the first of equal ones.
pub fn predictions(logits: &Tensor) -> Result<Vec<u32>> {
    let (_, classes) = logits.dims2()?;
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

/// The images as an 8-bit file holds them: every pixel rounded to the nearest of 256 levels.
pub fn to_8bit(images: &Tensor) -> Result<Tensor> {
    let levels = Tensor::full(255.0, (), images.device())?.to_dtype(images.dtype())?;
    Ok((images * 255.0)?.round()?.broadcast_div(&levels)?)
}
