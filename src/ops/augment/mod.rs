//! Batches gathered from a data set, with random crops and flips, then with parts erased and images mixed in pairs, see
//! [`crate::data::Augmentation`].

mod card;
mod cpu;

use candle_core::Tensor;

pub use self::cpu::{crop_flip_image, overlay_images};
use super::device::ops;
use crate::{Error, Result};

/// Which part of which image of a data set is taken. Crops come before flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The image's position in the data set.
    pub index: usize,
    /// Rows and columns that the window lies below and right of the corner of the image with its padding; as many as the
    /// padding crop nothing.
    pub down: usize,
    pub right: usize,
    /// Whether the window is mirrored left to right.
    pub flip: bool,
}

/// A rectangle of an image: rows `top..bottom`, columns `left..right`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub top: usize,
    pub bottom: usize,
    pub left: usize,
    pub right: usize,
}

impl Area {
    /// All of an image of this height and width.
    pub fn whole(height: usize, width: usize) -> Self {
        Self {
            top: 0,
            bottom: height,
            left: 0,
            right: width,
        }
    }

    /// The share that it has of an image of shape (C, H, W).
    pub fn share(self, [_, height, width]: [usize; 3]) -> f64 {
        let pixels = (self.bottom - self.top) * (self.right - self.left);
        pixels as f64 / (height * width) as f64
    }

    fn fits(self, [_, height, width]: [usize; 3]) -> bool {
        self.top <= self.bottom
            && self.bottom <= height
            && self.left <= self.right
            && self.right <= width
    }
}

/// A rectangle that gets one intensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hole {
    pub area: Area,
    pub value: f32,
}

/// Another image of the batch that comes into a rectangle of this one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend {
    /// The other image's position in the batch.
    pub partner: usize,
    pub area: Area,
    /// The share that the image's own pixels keep inside, from 0 to 1.
    pub own: f32,
}

/// What happens to an image of a batch, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    pub holes: Vec<Hole>,
    /// With the other image as its own holes leave it.
    pub blend: Option<Blend>,
}

ops! {
    /// The images `(B, C, H, W)`, float32, that `windows` take out of `data (N, C H W)` of images of `shape`, (C, H, W), with
    /// `padding` zero pixels on each side. Data is 8-bit (`v` means the intensity `v / 255`) or float32.
    pub fn crop_flip(data: &Tensor, windows: &[Window], shape: [usize; 3], padding: usize) -> Result<Tensor> {
        check(data, windows, shape)
    }

    /// Images `(B, C, H, W)`, float32, with an overlay on each: inside of a blend's rectangle `own x + (1 - own) y`, both
    /// products exact and their sum rounded once to float64 and then to float32.
    pub fn overlay(images: &Tensor, overlays: &[Overlay]) -> Result<Tensor> {
        check_overlays(images, overlays)
    }
}

fn check_overlays(images: &Tensor, overlays: &[Overlay]) -> Result<()> {
    let (batch, c, h, w) = images.dims4()?;
    let shape = [c, h, w];
    let fits = |overlay: &Overlay| {
        let blend = overlay.blend.iter();
        overlay.holes.iter().all(|hole| hole.area.fits(shape))
            && blend
                .clone()
                .all(|blend| blend.area.fits(shape) && blend.partner < batch)
    };
    if overlays.len() == batch && overlays.iter().all(fits) {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{} overlays do not fit {batch} images of {shape:?}",
        overlays.len()
    )))
}

fn check(data: &Tensor, windows: &[Window], shape: [usize; 3]) -> Result<()> {
    let (examples, width) = data.dims2()?;
    if width != shape.iter().product::<usize>() {
        return Err(Error::failed(format!(
            "a data set of {width} values per image does not hold images of {shape:?}"
        )));
    }
    match windows.iter().find(|window| window.index >= examples) {
        None => Ok(()),
        Some(Window { index, .. }) => Err(Error::failed(format!(
            "image {index} of a data set of {examples} was asked for"
        ))),
    }
}
