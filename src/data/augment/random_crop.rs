//! Random crops of the image's own size.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Augment, Drawn, Phase};
use crate::spec::range::Count;
use crate::spec::section;

section! {
    /// A window of the image's own size out of the image with zero pixels around it: a shift by up to `padding` in each
    /// direction, all equally likely.
    RandomCrop {
        /// Zero pixels on each side; default 4.
        padding: usize [as Count, or 4],
    }
}

impl RandomCrop {
    pub(super) const ABOUT: [&str; 2] = [
        "a window of the image's size, anywhere on the image with zero pixels around it",
        "",
    ];

    /// Where the window lies: rows and columns below and right of the padded image's corner.
    pub(super) fn offsets(&self, rng: &mut ChaCha8Rng) -> [usize; 2] {
        // 64-bit ranges: the same draws on every platform.
        let span = 0..=2 * self.padding as u64;
        let down = rng.random_range(span.clone()) as usize;
        [down, rng.random_range(span) as usize]
    }
}

impl Augment for RandomCrop {
    fn phase(&self) -> Phase {
        Phase::Place
    }

    fn padding(&self) -> usize {
        self.padding
    }

    fn draw(&self, drawn: &mut Drawn, _image: [usize; 3], rng: &mut ChaCha8Rng) {
        let [down, right] = self.offsets(rng);
        let window = &mut drawn.window;
        window.down = down;
        // A flip that came before is put off: the window then lies as far from the other side.
        window.right = match window.flip {
            true => 2 * self.padding - right,
            false => right,
        };
    }
}
