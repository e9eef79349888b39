//! CutMix (Yun et al., arXiv 1905.04899): a rectangle of each image comes from the same place of another one of the batch, and
//! its loss is that of both labels, each with the share of the area that its image has. The rectangle has the image's
//! proportions and the share `1 - lambda` of its area, `lambda` from `Beta(alpha, alpha)`, and its centre is any pixel, so that
//! part of it may lie outside. Drawn for each image, where the authors' code draws once for a batch.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Augment, Drawn, Phase, mixing};
use crate::ops::augment::Area;
use crate::spec::range::{Concentration, Portion};
use crate::spec::section;

section! {
    /// A rectangle of another image, and its share of the label.
    CutMix {
        /// Both parameters of the beta distribution of the share, from 0.01 to 1000; default 1, as in the paper.
        alpha: f64 [as Concentration, or 1.0],
        /// The share of the images that are mixed, in [0, 1]; default 0.5, as in the authors' commands for CIFAR.
        probability: f64 [as Portion, or 0.5],
    }
}

impl CutMix {
    pub(super) const ABOUT: [&str; 2] = [
        "a rectangle out of another image of the batch, and of the losses of both labels the share that each image has",
        "arXiv 1905.04899",
    ];
}

impl Augment for CutMix {
    fn phase(&self) -> Phase {
        Phase::Mix
    }

    fn draw(&self, drawn: &mut Drawn, [_, height, width]: [usize; 3], rng: &mut ChaCha8Rng) {
        let Some(own) = mixing(self.alpha, self.probability, rng) else {
            return;
        };
        let part = (1.0 - f64::from(own)).sqrt();
        let mut side = |length: usize| {
            let half = (part * length as f64) as usize / 2;
            let centre = rng.random_range(0..length as u64) as usize;
            [centre.saturating_sub(half), (centre + half).min(length)]
        };
        let ([left, right], [top, bottom]) = (side(width), side(height));
        let area = Area {
            top,
            bottom,
            left,
            right,
        };
        drawn.mixing = Some((area, 0.0));
    }
}
