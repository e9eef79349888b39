//! Random points of balls around images, as attacks start from.

mod card;
mod cpu;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::device::ops;
use super::perturbation::Threat;
use crate::rng::{Purpose, stream};
use crate::{Error, Result};

/// What the numbers depend on beside the image's position in the data set.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    pub seed: u64,
    pub epoch: u64,
    /// All that an epoch has several of, in one number.
    pub part: u64,
}

impl Draws {
    /// The generator of the image at `index`.
    pub fn rng(&self, index: usize) -> ChaCha8Rng {
        let purpose = Purpose::AttackStart;
        stream(self.seed, purpose, self.epoch, self.part, index as u64)
    }
}

ops! {
    /// The originals `(N, C, H, W)`, each moved to a point drawn uniformly from its ball, within the pixel range. `indices`
    /// are the images' positions in the data set.
    pub fn uniform(originals: &Tensor, indices: &[usize], threat: Threat, draws: Draws) -> Result<Tensor> {
        check(originals, indices)
    }
}

fn check(originals: &Tensor, indices: &[usize]) -> Result<()> {
    let (n, ..) = originals.dims4()?;
    if indices.len() == n {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{n} images have {} positions in the data set",
        indices.len()
    )))
}
