//! Mixup (Zhang et al., arXiv 1710.09412): each image becomes `lambda` of itself and `1 - lambda` of another one of the batch,
//! and its loss `lambda` of that of its own label and `1 - lambda` of that of the other. `lambda` is drawn from
//! `Beta(alpha, alpha)` for each image, where the authors' code draws one for a batch.

use rand_chacha::ChaCha8Rng;

use super::{Augment, Drawn, Phase, mixing};
use crate::ops::augment::Area;
use crate::spec::range::{Concentration, Portion};
use crate::spec::section;

section! {
    /// Images and labels mixed in pairs, pixel by pixel.
    Mixup {
        /// Both parameters of the beta distribution of the share, from 0.01 to 1000; default 1, as in the paper for CIFAR-10.
        alpha: f64 [as Concentration, or 1.0],
        /// The share of the images that are mixed, in [0, 1]; default 1, as in the paper.
        probability: f64 [as Portion, or 1.0],
    }
}

impl Mixup {
    pub(super) const ABOUT: [&str; 2] = [
        "a weighted mean of the image and another one of the batch, and of the losses of both labels",
        "arXiv 1710.09412",
    ];
}

impl Augment for Mixup {
    fn phase(&self) -> Phase {
        Phase::Mix
    }

    fn draw(&self, drawn: &mut Drawn, [_, height, width]: [usize; 3], rng: &mut ChaCha8Rng) {
        drawn.mixing =
            mixing(self.alpha, self.probability, rng).map(|own| (Area::whole(height, width), own));
    }
}
