//! Dropout on the CPU.

use candle_core::Tensor;
use rand_chacha::rand_core::RngCore;

use super::Mask;
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::real::{scratch, tensor, view};
use crate::rng::{Purpose, stream};
use crate::{Result, with_real};

/// Elements that share one stretch of the generator's sequence: 16 words make a block of the cipher.
const STRETCH: usize = 1 << 12;

pub fn apply(x: &Tensor, mask: Mask, _: Option<&Tensor>) -> Result<Tensor> {
    let keep = 1.0 / (1.0 - mask.p);
    let threshold = mask.threshold();
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
