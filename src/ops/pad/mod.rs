//! A border of zeros below and to the right of activations alone, as TensorFlow's "SAME" has it for strides of 2.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::{Error, Result};

ops! {
    /// `(N, H, W, C)` with `border` rows of zeros below and columns of zeros to the right, `(N, H + border, W + border, C)`.
    pub fn forward(x: &Tensor, border: usize) -> Result<Tensor>

    /// The gradient with respect to the input of [`forward`]: `dy` without the border.
    pub fn backward(dy: &Tensor, border: usize) -> Result<Tensor> {
        has(dy, border)
    }
}

fn has(dy: &Tensor, border: usize) -> Result<()> {
    let (_, h, w, _) = dy.dims4()?;
    if h.min(w) > border {
        return Ok(());
    }
    Err(Error::failed(format!(
        "activations of {:?} have no border of {border}",
        dy.dims()
    )))
}

/// Rows of the larger side and of the smaller, both of `(N, H, W, C)`, in numbers: what is copied is `rows` rows of `length`
/// numbers, `height` of them an image, to or from an image of `wide_height` rows of `wide_length` numbers.
#[derive(Clone, Copy, Debug)]
struct Layout {
    rows: usize,
    height: usize,
    length: usize,
    wide_height: usize,
    wide_length: usize,
}

impl Layout {
    /// Of activations of shape `(N, H, W, C)` without their border.
    fn new([n, h, w, c]: [usize; 4], border: usize) -> Self {
        Self {
            rows: n * h,
            height: h,
            length: w * c,
            wide_height: h + border,
            wide_length: (w + border) * c,
        }
    }
}
