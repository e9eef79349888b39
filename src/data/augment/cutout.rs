//! Cutout (DeVries and Taylor, arXiv 1708.04552): a square of one intensity, whose centre is any pixel of the image, so that
//! part of it may lie outside.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Augment, Drawn, Phase};
use crate::ops::augment::{Area, Hole};
use crate::spec::range::{Count, Portion};
use crate::spec::section;

section! {
    /// A square of one intensity anywhere on each image.
    Cutout {
        /// The square's side in pixels; required, the paper has 16 for CIFAR-10, 8 for CIFAR-100, 20 for SVHN.
        size: usize [required as Count],
        /// The square's intensity, in [0, 1]; default 0, which is black: the authors cut normalised images, where 0 is the mean.
        value: f64 [as Portion, or 0.0],
    }
}

impl Cutout {
    pub(super) const ABOUT: [&str; 2] = [
        "a square of one intensity, centred on any pixel of the image",
        "arXiv 1708.04552",
    ];
}

impl Augment for Cutout {
    fn phase(&self) -> Phase {
        Phase::Erase
    }

    fn draw(&self, drawn: &mut Drawn, [_, height, width]: [usize; 3], rng: &mut ChaCha8Rng) {
        let mut side = |length: usize| {
            let centre = rng.random_range(0..length as u64) as usize;
            let start = centre.saturating_sub(self.size / 2);
            // From where the square would begin, also where that is outside.
            let end = (centre + self.size).saturating_sub(self.size / 2);
            [start, end.min(length)]
        };
        let ([top, bottom], [left, right]) = (side(height), side(width));
        drawn.holes.push(Hole {
            area: Area {
                top,
                bottom,
                left,
                right,
            },
            value: self.value as f32,
        });
    }
}
