//! Perturbations of images: steps within a ball around the originals, and the check that they stay there.
//!
//! Pixels are in [0, 1], images `(N, C, H, W)`.

pub mod ball;
pub(in crate::ops) mod card;
mod cpu;

use candle_core::Tensor;

use super::card::expect;
use super::device::ops;
use super::same::same;
use crate::{Error, Result};

/// The norm that bounds a perturbation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// Largest change of any pixel value.
    Linf,
    /// Euclidean length over all pixel values of an image.
    L2,
    /// Largest change of any pixel value in units of its channel: the standard deviations of a normalisation make this
    /// the largest change of any normalised value. The last unit counts for all further channels.
    ChannelLinf([f64; 3]),
}

impl Norm {
    /// How much of a pixel value is one unit of the norm in channel `channel`.
    pub(crate) fn unit(&self, channel: usize) -> f64 {
        match self {
            Self::Linf | Self::L2 => 1.0,
            Self::ChannelLinf(units) => units[channel.min(units.len() - 1)],
        }
    }
}

/// A ball around each original, within the pixel range [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threat {
    pub norm: Norm,
    /// Radius of the ball.
    pub epsilon: f64,
}

impl Threat {
    pub const fn linf(epsilon: f64) -> Self {
        let norm = Norm::Linf;
        Self { norm, epsilon }
    }

    pub const fn l2(epsilon: f64) -> Self {
        let norm = Norm::L2;
        Self { norm, epsilon }
    }

    /// How far outside the ball an image may lie: pixels are rounded to f32, and a sum of squares of some thousand of
    /// them is off by as many half units.
    pub(crate) fn slack(&self) -> f64 {
        1e-6 * (1.0 + self.epsilon)
    }

    /// The units of the first two channels and of all further ones.
    pub(in crate::ops) fn units(&self) -> [f64; 3] {
        [0, 1, 2].map(|channel| self.norm.unit(channel))
    }
}

/// How a step is mixed with the movement before it.
#[derive(Clone, Copy)]
pub struct Blend<'a> {
    /// The images before their last step.
    pub previous: &'a Tensor,
    /// The share of the step; the rest is the movement from `previous`.
    pub share: f64,
}

ops! {
    /// The images after one ascent step: along the gradient's sign (linf) or direction (l2), projected into the ball
    /// and the pixel range. A zero gradient moves nothing.
    pub fn step(images: &Tensor, originals: &Tensor, gradient: &Tensor, threat: Threat, step_size: f64) -> Result<Tensor> {
        agree("an attack's step", images, originals);
        agree("an attack's step", images, gradient)
    }

    /// The images after one step of APGD (Croce and Hein, arXiv 2003.01690, algorithm 1): `z`, a step of [`step`] of a length of its
    /// own in each image, then `x + share (z - x) + (1 - share) (x - previous)`, projected again. The norm is linf or l2.
    pub fn momentum_step(images: &Tensor, originals: &Tensor, gradient: &Tensor, blend: Blend<'_>, threat: Threat, step_sizes: &[f64]) -> Result<Tensor> {
        agree("an attack's step", images, blend.previous);
        agree("an attack's step", images, originals);
        agree("an attack's step", images, gradient);
        counted(images, step_sizes)
    }

    /// How far each image is from its original, in the norm. A card is waited for.
    pub fn distances(images: &Tensor, originals: &Tensor, norm: Norm) -> Result<Vec<f64>> {
        agree("a distance", images, originals)
    }

    /// Brings the images at `positions` nearer to their originals, to `share` of the distance, in place. Nothing else may read
    /// `images`; no image is named twice.
    pub fn draw_nearer(images: &Tensor, originals: &Tensor, positions: &[usize], share: f64) -> Result<()> {
        agree("an image drawn nearer", images, originals);
        within(images, positions)
    }

    /// `momentum` becomes `decay momentum + g / |g|_1` in each image, in place; a zero gradient adds nothing. Nothing else
    /// may read `momentum`.
    pub fn add_normalised(momentum: &Tensor, gradient: &Tensor, decay: f64) -> Result<()> {
        agree("a gradient's accumulation", momentum, gradient)
    }

    /// Whether every image is finite, within the pixel range and within the ball. A violation is a defect of the attack,
    /// which an error names; a card says it once the [`Checks`] are resolved.
    pub fn check(images: &Tensor, originals: &Tensor, threat: Threat, attack: &str) -> Result<Checks> {
        agree(attack, images, originals)
    }
}

/// Checks of perturbed images, of which a card may not yet have told the outcome.
#[derive(Debug, Default)]
#[must_use = "perturbed images count only once their checks are resolved"]
pub struct Checks {
    /// u32 `(2)` in a card's queue: images outside the pixel range, and images outside their ball.
    faults: Vec<Tensor>,
}

impl Checks {
    /// Takes up further checks, to be resolved together with these.
    pub fn join(&mut self, further: Self) {
        self.faults.extend(further.faults);
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    /// An attack left the pixel range or its ball: a defect, and no result may be counted.
    pub fn resolve(self) -> Result<()> {
        let mut found = [0; 2];
        if !self.faults.is_empty() {
            for pair in Tensor::stack(&self.faults, 0)?.to_vec2::<u32>()? {
                found[0] += pair[0];
                found[1] += pair[1];
            }
        }
        match found {
            [0, 0] => Ok(()),
            found => Err(Error::failed(format!(
                "an attack on the card returned images outside the pixel range [0, 1] and images outside their ball: \
                 {found:?} of them; this is a defect of the program, report it"
            ))),
        }
    }
}

/// Images of one shape and type, whose values a card's kernels can count.
fn agree(what: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    let (_, c, h, w) = a.dims4()?;
    expect::indexable(what, &[c, h, w])?;
    same(what, a, b)
}

/// One step size for each image.
fn counted(images: &Tensor, step_sizes: &[f64]) -> Result<()> {
    let n = images.dim(0)?;
    if step_sizes.len() == n {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{n} images have {} step sizes",
        step_sizes.len()
    )))
}

fn within(images: &Tensor, positions: &[usize]) -> Result<()> {
    let n = images.dim(0)?;
    match positions.iter().find(|&&position| position >= n) {
        None => Ok(()),
        Some(position) => Err(Error::failed(format!("image {position} of {n}"))),
    }
}

/// Values of an image.
pub(crate) fn image_len(images: &Tensor) -> Result<usize> {
    let (_, c, h, w) = images.dims4()?;
    Ok(c * h * w)
}

/// Values of a channel of an image.
pub(crate) fn plane_len(images: &Tensor) -> Result<usize> {
    let (_, _, h, w) = images.dims4()?;
    Ok(h * w)
}
