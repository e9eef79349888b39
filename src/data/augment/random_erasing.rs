//! Random erasing (Zhong et al., arXiv 1708.04896), drawn as torchvision's `RandomErasing` draws: a share of the image's area
//! and a ratio of height to width, tried ten times until the rectangle is smaller than the image in both directions.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Augment, Drawn, Phase};
use crate::ops::augment::{Area, Hole};
use crate::spec::range::{Pair, Portion, Positive};
use crate::spec::section;

/// How often a rectangle is drawn anew that does not fit.
const TRIES: usize = 10;

section! {
    /// A rectangle of one intensity on some of the images.
    RandomErasing {
        /// The share of the images that lose a rectangle, in [0, 1]; default 0.5, as torchvision's.
        probability: f64 [as Portion, or 0.5],
        /// The least and the most of an image's area that goes, each above 0; default [0.02, 0.33], as torchvision's.
        scale: [f64; 2] [as Pair<Positive>, or [0.02, 0.33]],
        /// The least and the most that height is to width, each above 0; default [0.3, 3.3], as torchvision's.
        ratio: [f64; 2] [as Pair<Positive>, or [0.3, 3.3]],
        /// The rectangle's intensity, in [0, 1]; default 0, which is black.
        value: f64 [as Portion, or 0.0],
    }
    check(fields) {
        for (key, range) in [("scale", &scale), ("ratio", &ratio)] {
            if let Some([least, most]) = range && (least > most || (key == "scale" && *most > 1.0)) {
                let within = if key == "scale" { ", at most 1" } else { "" };
                fields.fault(key, &format!("expected the least and then the most{within}, found [{least}, {most}]"));
                return None;
            }
        }
    }
}

impl RandomErasing {
    pub(super) const ABOUT: [&str; 2] = [
        "a rectangle of one intensity, on some of the images",
        "arXiv 1708.04896",
    ];

    /// A rectangle on an image of this height and width; none where no try fits.
    fn area(&self, height: usize, width: usize, rng: &mut ChaCha8Rng) -> Option<Area> {
        for _ in 0..TRIES {
            let [share, ratio] = [self.scale, self.ratio.map(libm::log)]
                .map(|[least, most]| least + (most - least) * rng.random::<f64>());
            let area = share * (height * width) as f64;
            let ratio = libm::exp(ratio);
            let rows = (area * ratio).sqrt().round_ties_even() as usize;
            let columns = (area / ratio).sqrt().round_ties_even() as usize;
            if rows < height && columns < width {
                let top = rng.random_range(0..=(height - rows) as u64) as usize;
                let left = rng.random_range(0..=(width - columns) as u64) as usize;
                return Some(Area {
                    top,
                    bottom: top + rows,
                    left,
                    right: left + columns,
                });
            }
        }
        None
    }
}

impl Augment for RandomErasing {
    fn phase(&self) -> Phase {
        Phase::Erase
    }

    fn draw(&self, drawn: &mut Drawn, [_, height, width]: [usize; 3], rng: &mut ChaCha8Rng) {
        if rng.random::<f64>() >= self.probability {
            return;
        }
        if let Some(area) = self.area(height, width, rng) {
            drawn.holes.push(Hole {
                area,
                value: self.value as f32,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn rectangles_have_the_areas_and_ratios_that_are_asked_for() {
        let erasing = RandomErasing {
            probability: 1.0,
            scale: [0.1, 0.2],
            ratio: [0.5, 2.0],
            value: 0.0,
        };
        let (height, width) = (60, 80);
        for index in 0..500 {
            let mut rng = stream(1, Purpose::Augment, 0, 0, index);
            let area = erasing.area(height, width, &mut rng).unwrap();
            assert!(area.bottom <= height && area.right <= width);
            let [rows, columns] =
                [area.bottom - area.top, area.right - area.left].map(|n| n as f64);
            let share = rows * columns / 4800.0;
            assert!((0.095..0.205).contains(&share), "{share}");
            assert!((0.47..2.1).contains(&(rows / columns)), "{rows} {columns}");
        }
    }

    #[test]
    fn what_never_fits_erases_nothing() {
        let erasing = RandomErasing {
            probability: 1.0,
            scale: [1.0, 1.0],
            ratio: [1.0, 1.0],
            value: 0.0,
        };
        let mut rng = stream(1, Purpose::Augment, 0, 0, 0);
        assert_eq!(erasing.area(8, 8, &mut rng), None);
    }
}
