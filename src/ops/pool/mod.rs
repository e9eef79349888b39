//! Max and average pooling over `(N, H, W, C)`.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use super::same::same;
use crate::{Error, Result};

/// A square pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
    /// Border that counts as minus infinity (max-pool only), below half of the kernel as in torch.
    pub padding: usize,
}

impl Window {
    pub const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel,
            stride,
            padding,
        }
    }

    /// Whether windows of 2 by 2 cover an image exactly.
    fn pairs(&self, h: usize, w: usize) -> bool {
        (self.kernel, self.stride, self.padding) == (2, 2, 0)
            && h.is_multiple_of(2)
            && w.is_multiple_of(2)
    }

    pub(crate) fn output(&self, side: usize) -> Result<usize> {
        let Self {
            kernel,
            stride,
            padding,
        } = *self;
        // A tap's number is kept in a byte.
        if kernel == 0
            || kernel > 15
            || stride == 0
            || 2 * padding > kernel
            || side + 2 * padding < kernel
        {
            return Err(Error::failed(format!(
                "a pooling window of {kernel} with stride {stride} and padding {padding} does not fit an image side \
                 of {side}"
            )));
        }
        Ok((side + 2 * padding - kernel) / stride + 1)
    }
}

/// The output cells of adaptive average pooling along one side: `floor(i L / out) .. ceil((i + 1) L / out)`.
fn cells(side: usize, out: usize) -> Vec<std::ops::Range<usize>> {
    (0..out)
        .map(|i| i * side / out..((i + 1) * side).div_ceil(out))
        .collect()
}

/// The cells of an average pool without padding, whose windows may not reach over the edge.
fn windows(side: usize, kernel: usize, stride: usize) -> Result<Vec<std::ops::Range<usize>>> {
    let out = Window::new(kernel, stride, 0).output(side)?;
    Ok((0..out).map(|i| i * stride..i * stride + kernel).collect())
}

/// Which input positions an average pool takes the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// Square windows, no padding.
    Windows { kernel: usize, stride: usize },
    /// As many cells as the output is to have, `(OH, OW)`; (1, 1) is the global mean.
    Adaptive { oh: usize, ow: usize },
}

impl Average {
    /// The rows and the columns that each output takes the mean of.
    #[allow(clippy::type_complexity)]
    pub(crate) fn cells(
        &self,
        h: usize,
        w: usize,
    ) -> Result<(Vec<std::ops::Range<usize>>, Vec<std::ops::Range<usize>>)> {
        match *self {
            Self::Windows { kernel, stride } => {
                Ok((windows(h, kernel, stride)?, windows(w, kernel, stride)?))
            }
            Self::Adaptive { oh, ow } => Ok((cells(h, oh), cells(w, ow))),
        }
    }
}

fn channels_last(shape: &[usize]) -> Result<(usize, usize, usize, usize)> {
    match *shape {
        [n, h, w, c] => Ok((n, h, w, c)),
        _ => Err(Error::failed("pooling takes (N, H, W, C)")),
    }
}

ops! {
    /// Max-pool. Returns the output `(N, OH, OW, C)` and the winning tap of each element (u8, same shape).
    pub fn max_forward(x: &Tensor, window: Window) -> Result<(Tensor, Tensor)>

    /// The gradient of [`max_forward`] with respect to its input of shape `input`: each output's gradient goes to the
    /// element that won.
    pub fn max_backward(dy: &Tensor, taps: &Tensor, input: &[usize], window: Window) -> Result<Tensor>

    /// A gradient for the input `x` of [`max_forward`] with output `y`, spread over each window in proportion to
    /// `exp(temperature x)`: that of the maximum in the limit of high temperatures. The border has no share.
    pub fn softmax_backward(
        dy: &Tensor,
        x: &Tensor,
        y: &Tensor,
        window: Window,
        temperature: f64,
    ) -> Result<Tensor> {
        same("a max-pool's gradient", dy, y)
    }

    /// Average pool, output `(N, OH, OW, C)`.
    pub fn average_forward(x: &Tensor, average: Average) -> Result<Tensor>

    /// The gradient of [`average_forward`] with respect to its input of shape `input`.
    pub fn average_backward(dy: &Tensor, input: &[usize], average: Average) -> Result<Tensor>
}
