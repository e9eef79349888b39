//! Batches gathered from a data set, with random crops and flips, see [`crate::data::Augmentation`].

mod card;
mod cpu;

use candle_core::Tensor;

pub use self::cpu::crop_flip_image;
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

ops! {
    /// The images `(B, C, H, W)`, float32, that `windows` take out of `data (N, C H W)` of images of `shape`, (C, H, W), with
    /// `padding` zero pixels on each side. Data is 8-bit (`v` means the intensity `v / 255`) or float32.
    pub fn crop_flip(data: &Tensor, windows: &[Window], shape: [usize; 3], padding: usize) -> Result<Tensor> {
        check(data, windows, shape)
    }
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
