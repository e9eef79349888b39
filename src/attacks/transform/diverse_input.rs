//! Diverse inputs, DI2-FGSM (Xie et al., arXiv 1803.06978).

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::separable::{matrices, separable};
use super::{Change, Moment, Transform};
use crate::Result;
use crate::spec::range::{InnerShare, Portion};
use crate::spec::section;

section! {
    /// Each image, with a probability, made smaller by a random factor (bilinearly) and put somewhere on zeros of its own
    /// size. The paper enlarges images by as much; here, as in torchattacks, the network sees images of the size that it is
    /// made for.
    DiverseInput {
        /// The probability; default 0.5, as in the paper.
        probability: f64 [as Portion, or 0.5],
        /// The least side, as a share of the image's; default 0.9.
        resize: f64 [as InnerShare, or 0.9],
    }
}

/// Where an image goes along one side: its new length, and the pixels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub length: usize,
    pub before: usize,
}

impl DiverseInput {
    pub(super) const ABOUT: [&str; 2] = [
        "each image by chance made smaller and put somewhere on zeros of its own size",
        "Xie et al., 2019, arXiv 1803.06978",
    ];

    /// Where an image of this height and width goes; nothing where it stays as it is. The width follows the height.
    pub fn draw(
        &self,
        [height, width]: [usize; 2],
        rng: &mut ChaCha8Rng,
    ) -> Option<[Placement; 2]> {
        let is_changed = rng.random::<f64>() < self.probability;
        // 64-bit ranges: the same draws on every platform.
        let least = (height as f64 * self.resize) as u64;
        let length = rng.random_range(least..(height as u64).max(least + 1)) as usize;
        let [rows, columns] = [height, width].map(|side| {
            let length = (side * length).div_ceil(height).max(1);
            let before = rng.random_range(0..((side - length) as u64).max(1)) as usize;
            Placement { length, before }
        });
        is_changed.then_some([rows, columns])
    }
}

impl Placement {
    /// Adds the matrix of the map from a side of `side` pixels: each pixel inside is a mean of the two that it lies between.
    fn matrix(self, side: usize, values: &mut Vec<f64>) {
        let Self { length, before } = self;
        let from = values.len();
        values.resize(from + side * side, 0.0);
        for pixel in 0..length {
            let place = (pixel as f64 + 0.5) * side as f64 / length as f64 - 0.5;
            let place = place.max(0.0);
            let first = (place as usize).min(side - 1);
            let second = (first + 1).min(side - 1);
            let row = from + (before + pixel) * side;
            values[row + first] += 1.0 - (place - first as f64);
            values[row + second] += place - first as f64;
        }
    }
}

/// The matrices of rows and columns, `(N, 1, H, H)` and `(N, 1, W, W)`.
struct Moved(Tensor, Tensor);

impl Transform for DiverseInput {
    fn is_random(&self) -> bool {
        true
    }

    fn change(&self, images: &Tensor, moment: &Moment<'_>) -> Result<Box<dyn Change>> {
        let (n, _, height, width) = images.dims4()?;
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for row in 0..n {
            let placed = self.draw([height, width], &mut moment.own.rng(row));
            let whole = [height, width].map(|length| Placement { length, before: 0 });
            let [down, right] = placed.unwrap_or(whole);
            down.matrix(height, &mut rows);
            right.matrix(width, &mut columns);
        }
        let rows = matrices(rows, height, images)?;
        Ok(Box::new(Moved(rows, matrices(columns, width, images)?)))
    }
}

impl Change for Moved {
    fn apply(&self, images: &Tensor) -> Result<Tensor> {
        separable(&self.0, images, &self.1)
    }

    fn pull_back(&self, gradient: Tensor) -> Result<Tensor> {
        separable(&self.0.t()?, &gradient, &self.1.t()?)
    }
}
