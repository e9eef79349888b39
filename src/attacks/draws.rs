//! The random numbers that an attack draws on its way: pure functions of the example and of how many drawings came before, never of
//! how examples are batched.

use std::cell::Cell;

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Originals;
use crate::ops::device::bring;
use crate::ops::parallel::map;
use crate::ops::perturbation::image_len;
use crate::ops::real::tensor;
use crate::rng::Purpose;
use crate::{Error, Result};

/// The words of a generator that each drawing has to itself, per image.
const WORDS: u32 = 32;

/// The drawings of an attack on a batch, one after another.
pub struct Draws<'a> {
    originals: Originals<'a>,
    next: Cell<u64>,
}

/// Random numbers for each image of a batch.
#[derive(Clone, Copy)]
pub struct Drawing<'a> {
    originals: Originals<'a>,
    number: u64,
}

impl<'a> Draws<'a> {
    /// Those of an attack that begins.
    pub fn new(originals: Originals<'a>) -> Self {
        Self {
            originals,
            next: Cell::new(0),
        }
    }

    /// The next one.
    pub fn next(&self) -> Drawing<'a> {
        let number = self.next.get();
        self.next.set(number + 1);
        Drawing {
            originals: self.originals,
            number,
        }
    }
}

impl<'a> Drawing<'a> {
    /// What the attack starts from.
    pub fn originals(&self) -> Originals<'a> {
        self.originals
    }

    /// The generator of the image in a row of the batch.
    pub fn rng(&self, row: usize) -> ChaCha8Rng {
        let Originals { start, indices, .. } = self.originals;
        let mut rng = start.rng(Purpose::AttackWay, indices[row]);
        rng.set_word_pos(u128::from(self.number) << WORDS);
        rng
    }

    /// Numbers for each value of `images`, made of the generator of its image: tensors in their shape and of their type, where
    /// they are.
    pub fn values<const K: usize>(
        &self,
        images: &Tensor,
        draw: impl Fn(&mut ChaCha8Rng) -> [f64; K] + Sync,
    ) -> Result<[Tensor; K]> {
        let len = image_len(images)?;
        let rows = map(images.elem_count() / len, &|row| {
            let mut rng = self.rng(row);
            let drawn = std::iter::repeat_with(|| draw(&mut rng));
            drawn.take(len).collect::<Vec<[f64; K]>>()
        });
        let one = |k: usize| -> Result<Tensor> {
            let values: Vec<f64> = rows.iter().flatten().map(|drawn| drawn[k]).collect();
            let values = tensor(values, images.shape())?.to_dtype(images.dtype())?;
            bring(&values, images.device())
        };
        let tensors: Vec<Tensor> = (0..K).map(one).collect::<Result<_>>()?;
        <[Tensor; K]>::try_from(tensors).map_err(|_| Error::failed("a drawing lost a tensor"))
    }

    /// Values drawn uniformly from `[-radius, radius]`.
    pub fn uniform(&self, images: &Tensor, radius: f64) -> Result<Tensor> {
        let [values] = self.values(images, |rng| [radius * (2.0 * rng.random::<f64>() - 1.0)])?;
        Ok(values)
    }
}
