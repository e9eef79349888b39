//! Convolutions on a card: a 1x1 convolution with stride 1 is a product, a depthwise one has kernels of
//! its own, every other one is cuDNN's.

use candle_core::{DType, Tensor};

use super::geometry::{Algorithm, Geometry, Sizes};
use super::{depthwise, filters};
use crate::Result;
use crate::ops::bias;
use crate::ops::card::{Card, Direction, Product};

pub fn forward(
    card: &dyn Card,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), geometry)?;
    let y = match sizes.algorithm() {
        Algorithm::Depthwise => depthwise::card::forward(card, &sizes, x, weight)?,
        Algorithm::Pointwise => {
            let y = card.scratch(&sizes.output(), x.dtype())?;
            card.multiply(&Product {
                m: sizes.n * sizes.h * sizes.w,
                k: sizes.c_in,
                n: sizes.c_out,
                a: x,
                a_turned: false,
                b: &filters::card::in_type_of(card, weight, x)?,
                b_turned: true,
                c: &y,
            })?;
            y
        }
        _ => {
            let y = card.scratch(&sizes.output(), x.dtype())?;
            let w = filters::card::to_channels_last(card, weight, x.dtype())?;
            card.convolve(Direction::Forward, &sizes, x, &w, &y)?;
            y
        }
    };
    bias::card::add(card, &y, bias)?;
    Ok(y)
}

pub fn backward_input(
    card: &dyn Card,
    dy: &Tensor,
    weight: &Tensor,
    input: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(input, weight.dims(), geometry)?;
    match sizes.algorithm() {
        Algorithm::Depthwise => depthwise::card::backward_input(card, &sizes, dy, weight),
        Algorithm::Pointwise => {
            let dx = card.scratch(input, dy.dtype())?;
            card.multiply(&Product {
                m: sizes.n * sizes.h * sizes.w,
                k: sizes.c_out,
                n: sizes.c_in,
                a: dy,
                a_turned: false,
                b: &filters::card::in_type_of(card, weight, dy)?,
                b_turned: false,
                c: &dx,
            })?;
            Ok(dx)
        }
        _ => {
            let dx = card.scratch(input, dy.dtype())?;
            let w = filters::card::to_channels_last(card, weight, dy.dtype())?;
            card.convolve(Direction::Input, &sizes, &dx, &w, dy)?;
            Ok(dx)
        }
    }
}

pub fn backward_weight(
    card: &dyn Card,
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight, geometry)?;
    match sizes.algorithm() {
        Algorithm::Depthwise => depthwise::card::backward_weight(card, &sizes, x, dy, weight),
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
            filters::card::to_torch(card, &dw)
        }
    }
}
