//! Random changes of training images, one file each: what is done to an image is drawn here, from random numbers of its own,
//! and done by [`crate::ops::augment`] where the image lies.

mod list;
mod section;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use crate::ops::augment::{Area, Hole, Window};
use crate::{Error, Result};

list::augmentations! {
    random_crop::RandomCrop = "random-crop",
    horizontal_flip::HorizontalFlip = "horizontal-flip",
    cutout::Cutout = "cutout",
    random_erasing::RandomErasing = "random-erasing",
    mixup::Mixup = "mixup",
    cut_mix::CutMix = "cutmix",
}

pub(super) use crate::spec::tagged::list_identity as identity;
pub(super) use section::read;

/// What an augmentation works on. A list has them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Where the image lies.
    Place,
    /// Parts of it that go.
    Erase,
    /// Another image of the batch that comes in.
    Mix,
}

/// A random change that keeps an image's size and leaves its pixels in [0, 1].
pub trait Augment {
    fn phase(&self) -> Phase;

    /// Whether images get parts of others, and labels with them.
    fn mixes(&self) -> bool {
        self.phase() == Phase::Mix
    }

    /// The zeros around an image that it needs room for.
    fn padding(&self) -> usize {
        0
    }

    /// Draws what happens to an image of this shape, (C, H, W).
    fn draw(&self, drawn: &mut Drawn, image: [usize; 3], rng: &mut ChaCha8Rng);
}

/// What a list of augmentations does to an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub window: Window,
    pub holes: Vec<Hole>,
    /// Where another image of the batch comes in, and the share that the image's own pixels keep there.
    pub mixing: Option<(Area, f32)>,
}

impl Drawn {
    /// What the list does to the image at `index` of a set, of shape (C, H, W).
    pub fn new(
        list: &[Augmentation],
        index: usize,
        image: [usize; 3],
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let mut drawn = Self {
            window: Window {
                index,
                down: 0,
                right: 0,
                flip: false,
            },
            holes: Vec::new(),
            mixing: None,
        };
        for augmentation in list {
            augmentation.draw(&mut drawn, image, rng);
        }
        drawn
    }
}

/// The zeros around an image that a list leaves room for.
///
/// # Errors
/// A list that is not in order.
pub fn padding(list: &[Augmentation]) -> Result<usize> {
    check(list).map_err(|why| Error::spec(format!("data.augment: {why}")))?;
    Ok(list.iter().map(|one| one.padding()).max().unwrap_or(0))
}

/// That each kind comes once, that places come before what is erased there and this before what is mixed, and that only one
/// mixes.
///
/// # Errors
/// In words, what was expected and what comes instead.
pub(crate) fn check(list: &[Augmentation]) -> Result<(), String> {
    for (number, one) in list.iter().enumerate() {
        let earlier = &list[..number];
        if earlier.iter().any(|other| other.kind() == one.kind()) {
            return Err(format!(
                "expected each augmentation at most once, found \"{}\" again",
                one.kind()
            ));
        }
        let Some(other) = earlier.last() else {
            continue;
        };
        let [before, now] = [other.kind(), one.kind()];
        if one.phase() < other.phase() {
            return Err(format!(
                "expected \"{now}\" before \"{before}\", which works on what it leaves"
            ));
        }
        if [one.phase(), other.phase()] == [Phase::Mix; 2] {
            return Err(format!(
                "expected one that mixes images, found \"{before}\" and \"{now}\""
            ));
        }
    }
    Ok(())
}

/// The share of itself that an image keeps, from `Beta(alpha, alpha)`; none where it is not mixed.
fn mixing(alpha: f64, probability: f64, rng: &mut ChaCha8Rng) -> Option<f32> {
    if rng.random::<f64>() >= probability {
        return None;
    }
    let beta = Beta::new(alpha, alpha).ok()?;
    Some(beta.sample(rng) as f32)
}

#[cfg(test)]
mod tests;
