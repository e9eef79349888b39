//! Dropout: each element is zeroed with probability p, the others are divided by 1 - p.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::Result;

/// Where a layer's masks come from: they are computed again in the backward pass, not kept.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    pub seed: u64,
    pub epoch: u64,
    pub batch: u64,
    /// The layer's index, see [`crate::rng::name_index`].
    pub layer: u64,
    /// Probability of a zero, in [0, 1).
    pub p: f64,
}

impl Mask {
    /// An element is dropped when its 32 random bits lie below this, a share p of all that they can be.
    fn threshold(&self) -> u64 {
        (self.p * 4_294_967_296.0) as u64
    }
}

ops! {
    /// `x` with the mask applied. The same call on the output's gradient gives the input's gradient. On a card, `at` holds
    /// the mask's seed, epoch and batch instead, int64, where they are known only when a recording is replayed.
    pub fn apply(x: &Tensor, mask: Mask, at: Option<&Tensor>) -> Result<Tensor>
}
