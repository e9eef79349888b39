//! Convolutions, see [`crate::ops::conv`]: a 1x1 convolution with stride 1 is a product, a depthwise one has kernels of
//! its own, every other one is cuDNN's.

use candle_core::{DType, Tensor};

use super::linear::in_type_of;
use super::{Card, Direction, Product, depthwise, filters};
use crate::ops::conv::geometry::{Algorithm, Geometry, Sizes};
use crate::{Error, Result};

/// The output without bias, `(N, OH, OW, out)`.
pub fn forward(card: &dyn Card, x: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), geometry)?;
    match sizes.algorithm() {
        Algorithm::Depthwise => depthwise::forward(card, x, weight, geometry),
        Algorithm::Pointwise => {
            let y = card.scratch(&sizes.output(), x.dtype())?;
            card.multiply(&Product {
                m: sizes.n * sizes.h * sizes.w,
                k: sizes.c_in,
                n: sizes.c_out,
                a: x,
                a_turned: false,
                b: &in_type_of(weight, x)?,
                b_turned: true,
                c: &y,
            })?;
            Ok(y)
        }
        _ => {
            let y = card.scratch(&sizes.output(), x.dtype())?;
            let w = filters::to_channels_last(card, weight, x.dtype())?;
            card.convolve(Direction::Forward, &sizes, x, &w, &y)?;
            Ok(y)
        }
    }
}

/// The gradient with respect to the input of shape `input`.
pub fn backward_input(
    card: &dyn Card,
    dy: &Tensor,
    weight: &Tensor,
    input: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(input, weight.dims(), geometry)?;
    check(dy, &sizes)?;
    match sizes.algorithm() {
        Algorithm::Depthwise => depthwise::backward_input(card, dy, weight, input, geometry),
        Algorithm::Pointwise => {
            let dx = card.scratch(input, dy.dtype())?;
            card.multiply(&Product {
                m: sizes.n * sizes.h * sizes.w,
                k: sizes.c_out,
                n: sizes.c_in,
                a: dy,
                a_turned: false,
                b: &in_type_of(weight, dy)?,
                b_turned: false,
                c: &dx,
            })?;
            Ok(dx)
        }
        _ => {
            let dx = card.scratch(input, dy.dtype())?;
            let w = filters::to_channels_last(card, weight, dy.dtype())?;
            card.convolve(Direction::Input, &sizes, &dx, &w, dy)?;
            Ok(dx)
        }
    }
}

/// The gradient with respect to the weights of shape `weight`, in float32.
pub fn backward_weight(
    card: &dyn Card,
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight, geometry)?;
    check(dy, &sizes)?;
    match sizes.algorithm() {
        Algorithm::Depthwise => depthwise::backward_weight(card, x, dy, weight, geometry),
        Algorithm::Pointwise => {
            let dw = card.scratch(weight, DType::F32)?;
            card.multiply(&Product {
                m: sizes.c_out,
                k: sizes.n * sizes.h * sizes.w,
                n: sizes.c_in,
                a: dy,
                a_turned: true,
                b: x,
                b_turned: false,
                c: &dw,
            })?;
            Ok(dw)
        }
        _ => {
            let per_group = sizes.c_in / sizes.groups;
            let shape = [sizes.c_out, sizes.kh, sizes.kw, per_group];
            let dw = card.scratch(&shape, x.dtype())?;
            card.convolve(Direction::Weight, &sizes, x, &dw, dy)?;
            filters::to_torch(card, &dw)
        }
    }
}

fn check(dy: &Tensor, sizes: &Sizes) -> Result<()> {
    if dy.dims() == sizes.output() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "a convolution's output gradient has shape {:?}, expected {:?}",
        dy.dims(),
        sizes.output()
    )))
}
