//! The loop that FGSM, I-FGSM and PGD share: gradient, step, projection.

use candle_core::Tensor;

use super::{Originals, Target, Threat};
use crate::Result;

/// Takes `k` steps of `step_size` up the cross-entropy, from the originals or from a random start.
pub(super) fn ascend(
    threat: Threat,
    step_size: f64,
    k: usize,
    random_start: bool,
    target: &Target<'_>,
    originals: Originals<'_>,
) -> Result<Tensor> {
    let mut x = if random_start {
        threat.random_start(originals.images, originals.indices, originals.start)?
    } else {
        originals.images.clone()
    };
    for _ in 0..k {
        let gradient = target.cross_entropy_gradient(&x, originals.labels)?;
        x = threat.step(&x, originals.images, &gradient, step_size)?;
    }
    Ok(x)
}
