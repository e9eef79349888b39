//! Dropout: each element is zeroed with probability p, the others are divided by 1 - p.

use candle_core::Tensor;
use rand_chacha::rand_core::RngCore;

use super::Real;
#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::parallel::{chunk, chunks_mut};
use super::place::on_card;
use super::real::{scratch, tensor, view};
use crate::rng::{Purpose, stream};
use crate::{Result, with_real};

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

/// Elements that share one stretch of the generator's sequence: 16 words make a block of the cipher.
const STRETCH: usize = 1 << 12;

/// `x` with the mask applied. The same call on the output's gradient gives the input's gradient.
pub fn apply(x: &Tensor, mask: Mask) -> Result<Tensor> {
    on_card!(x, card => cuda::dropout::apply(card, x, mask));
    let keep = 1.0 / (1.0 - mask.p);
    // An element is dropped when its 32 random bits, read as a fraction, lie below p.
    let threshold = (mask.p * 4_294_967_296.0) as u64;
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = scratch::<T>(input.len());
        chunks_mut(&mut y, STRETCH, &|index, y| {
            let x = chunk(input, STRETCH, index);
                let mut rng = stream(mask.seed, Purpose::Dropout, mask.epoch, mask.batch, mask.layer);
                rng.set_word_pos((index * STRETCH) as u128);
                for (y, &x) in y.iter_mut().zip(x) {
                    let drop = u64::from(rng.next_u32()) < threshold;
                    *y = if drop { T::ZERO } else { x * T::of(keep) };
                }
            });
        tensor(y, x.shape())
    })
}
