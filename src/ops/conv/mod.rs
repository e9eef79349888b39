//! Two-dimensional convolution, dense, grouped and depthwise: forward and its two gradients.
//!
//! Activations are `(N, H, W, C)`, weights have torch's shape `(out, in/groups, kh, kw)`. Algorithms: a 1x1
//! convolution with stride 1 is one matrix product, a depthwise one runs directly over channels, one of few channels
//! along image rows, everything else gathers patches by tiles and multiplies. On the CPU one of very small images is a
//! fully connected layer, and a 3x3 one with stride 1 in f32 goes by Winograd's minimal filtering.

pub(in crate::ops) mod card;
pub(in crate::ops) mod cpu;
mod dense;
mod depthwise;
pub(in crate::ops) mod filters;
mod finish;
pub mod geometry;
pub mod normalised;
mod patches;
mod planes;
mod pointwise;
mod winograd;

use candle_core::Tensor;

pub use geometry::{Geometry, Sizes};

use super::device::ops;
use crate::{Error, Result};

ops! {
    /// `y[n, oy, ox, o] = b[o] + sum x[n, oy*s + ky - p, ox*s + kx - p, i] w[o, i, ky, kx]`, shape `(N, OH, OW, out)`.
    pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, geometry: Geometry) -> Result<Tensor>

    /// The gradient with respect to the input, from the output's gradient `dy`; `input` is the input's shape.
    pub fn backward_input(dy: &Tensor, weight: &Tensor, input: &[usize], geometry: Geometry) -> Result<Tensor> {
        check(dy, Sizes::new(input, weight.dims(), geometry)?.output())
    }

    /// The gradient with respect to the weights, summed over the batch; `weight` is the weights' shape.
    pub fn backward_weight(x: &Tensor, dy: &Tensor, weight: &[usize], geometry: Geometry) -> Result<Tensor> {
        check(dy, Sizes::new(x.dims(), weight, geometry)?.output())
    }
}

fn check(dy: &Tensor, output: [usize; 4]) -> Result<()> {
    if dy.dims() == output {
        return Ok(());
    }
    Err(Error::failed(format!(
        "a convolution's output gradient has shape {:?}, expected {output:?}",
        dy.dims()
    )))
}
