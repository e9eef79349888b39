//! Between images `(N, C, H, W)`, as files and attacks know them, and activations `(N, H, W, C)`.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::{Error, Result};

/// Per-channel normalisation `(x - mean) / std`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

impl Normalize {
    fn check(&self, channels: usize) -> Result<()> {
        if self.mean.len() != channels || self.std.len() != channels {
            return Err(Error::failed(format!(
                "images have {channels} channels, data.normalize has {} means and {} standard deviations",
                self.mean.len(),
                self.std.len()
            )));
        }
        Ok(())
    }
}

ops! {
    /// Images as a network takes them: normalised, channels last and, on a card, in the type of the run's activations.
    pub fn enter(images: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor>

    /// The gradient of [`enter`] with respect to the images.
    pub fn leave(dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor>

    /// Images `(N, C, H, W)` to normalised activations `(N, H, W, C)`.
    pub fn to_channels_last(x: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor>

    /// The gradient of [`to_channels_last`]: `(N, H, W, C)` to `(N, C, H, W)`, divided by std.
    pub fn to_channels_first(dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor>
}
