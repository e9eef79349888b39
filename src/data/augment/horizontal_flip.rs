//! Mirrored images.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Augment, Drawn, Phase};
use crate::spec::section;

section! {
    /// Mirrored left to right with probability 1/2.
    HorizontalFlip {}
}

impl HorizontalFlip {
    pub(super) const ABOUT: [&str; 2] = ["mirrored left to right with probability 1/2", ""];
}

impl Augment for HorizontalFlip {
    fn phase(&self) -> Phase {
        Phase::Place
    }

    fn draw(&self, drawn: &mut Drawn, _image: [usize; 3], rng: &mut ChaCha8Rng) {
        drawn.window.flip = rng.random();
    }
}
