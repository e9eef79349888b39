//! Spectrum simulation, SSA or S2I-FGSM (Long et al., arXiv 2207.05382).

use std::f64::consts::PI;

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::separable::{matrices, separable};
use super::{Change, Drawing, Moment, Transform};
use crate::Result;
use crate::spec::range::{Count, NonNegative, Portion};
use crate::spec::section;

section! {
    /// Copies of each image with noise, each frequency of which is multiplied by a random factor. As in the authors' code the
    /// gradient is the one at what became of the image; the paper writes the one at the image.
    Spectrum {
        /// How many, N in the paper; default 20.
        copies: usize [as Count, or 20],
        /// The factors lie within 1 - rho and 1 + rho; default 0.5.
        rho: f64 [as Portion, or 0.5],
        /// Deviation of the noise in units of epsilon; default 1.
        noise: f64 [as NonNegative, or 1.0],
    }
}

impl Spectrum {
    pub(super) const ABOUT: [&str; 2] = [
        "copies of each image with noise, each frequency times a random factor",
        "Long et al., 2022, arXiv 2207.05382",
    ];

    /// The noise and the factors of the frequencies, both in the shape of `images`.
    pub fn draw(&self, images: &Tensor, epsilon: f64, drawing: Drawing<'_>) -> Result<[Tensor; 2]> {
        let deviation = self.noise * epsilon;
        // Both from the generator of the image, value by value.
        let pairs = |rng: &mut ChaCha8Rng| {
            let noise: f64 = StandardNormal.sample(rng);
            [
                deviation * noise,
                1.0 + self.rho * (2.0 * rng.random::<f64>() - 1.0),
            ]
        };
        drawing.values(images, pairs)
    }
}

/// The orthonormal discrete cosine transform (DCT-II) of `side` values, as a matrix.
fn cosines(side: usize) -> Vec<f64> {
    let length = side as f64;
    let value = |frequency: usize, place: usize| {
        let scale = if frequency == 0 { 1.0 } else { 2.0 };
        let angle = PI * (place as f64 + 0.5) * frequency as f64 / length;
        (scale / length).sqrt() * angle.cos()
    };
    let cells = (0..side).flat_map(|frequency| (0..side).map(move |place| (frequency, place)));
    cells
        .map(|(frequency, place)| value(frequency, place))
        .collect()
}

struct Disturbed {
    noise: Tensor,
    factors: Tensor,
    rows: Tensor,
    columns: Tensor,
}

impl Transform for Spectrum {
    fn copies(&self) -> usize {
        self.copies
    }

    fn is_random(&self) -> bool {
        true
    }

    fn change(&self, images: &Tensor, moment: &Moment<'_>) -> Result<Box<dyn Change>> {
        let (_, _, height, width) = images.dims4()?;
        let [noise, factors] = self.draw(images, moment.epsilon, moment.own)?;
        let [rows, columns] = [height, width].map(|side| matrices(cosines(side), side, images));
        Ok(Box::new(Disturbed {
            noise,
            factors,
            rows: rows?,
            columns: columns?,
        }))
    }
}

impl Change for Disturbed {
    fn apply(&self, images: &Tensor) -> Result<Tensor> {
        let frequencies = separable(&self.rows, &(images + &self.noise)?, &self.columns)?;
        let disturbed = (frequencies * &self.factors)?;
        separable(&self.rows.t()?, &disturbed, &self.columns.t()?)
    }

    fn pull_back(&self, gradient: Tensor) -> Result<Tensor> {
        Ok(gradient)
    }
}
