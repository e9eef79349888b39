//! Two-dimensional convolution, dense, grouped and depthwise: forward and its two gradients.
//!
//! Activations are `(N, H, W, C)`, weights have torch's shape `(out, in/groups, kh, kw)`. Four algorithms: a 1x1
//! convolution with stride 1 is one matrix product, a depthwise one runs directly over channels, one of few channels
//! along image rows, everything else gathers patches by tiles and multiplies.

mod depthwise;
mod filters;
pub(crate) mod geometry;
mod patches;
mod planes;
mod pointwise;

use candle_core::Tensor;

pub use geometry::Geometry;
use geometry::{Algorithm, Sizes};

#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::place::on_card;
use super::real::{tensor, view};
use crate::{Error, Result, with_real};

/// `y[n, oy, ox, o] = b[o] + sum x[n, oy*s + ky - p, ox*s + kx - p, i] w[o, i, ky, kx]`, shape `(N, OH, OW, out)`.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
) -> Result<Tensor> {
    on_card!(x, card => {
        let y = cuda::conv::forward(card, x, weight, geometry)?;
        match bias {
            Some(bias) => cuda::bias::add_bias(card, &y, bias).map(|()| y),
            None => Ok(y),
        }
    });
    let sizes = Sizes::new(x.dims(), weight.dims(), geometry)?;
    with_real!(x.dtype(), T => {
        let (input, w) = (view::<T>(x)?, view::<T>(weight)?);
        let bias = bias.map(view::<T>).transpose()?;
        let bias = bias.as_deref();
        let mut y = match sizes.algorithm() {
            Algorithm::Pointwise => pointwise::forward(&sizes, &input, &w),
            Algorithm::Depthwise => depthwise::forward(&sizes, &input, &w),
            Algorithm::Planes => planes::forward(&sizes, &input, &w, bias),
            Algorithm::Patches => patches::forward(&sizes, &input, &w),
        };
        if let (Some(bias), false) = (bias, sizes.algorithm() == Algorithm::Planes) {
            super::linear::add_bias(&mut y, bias);
        }
        tensor(y, (sizes.n, sizes.oh, sizes.ow, sizes.c_out))
    })
}

/// The gradient with respect to the input, from the output's gradient `dy`; `input` is the input's shape.
pub fn backward_input(
    dy: &Tensor,
    weight: &Tensor,
    input: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    on_card!(dy, card => cuda::conv::backward_input(card, dy, weight, input, geometry));
    let sizes = Sizes::new(input, weight.dims(), geometry)?;
    with_real!(dy.dtype(), T => {
        let (dy, w) = (view::<T>(dy)?, view::<T>(weight)?);
        check_len(dy.len(), sizes.output_len())?;
        let dx = match sizes.algorithm() {
            Algorithm::Pointwise => pointwise::backward_input(&sizes, &dy, &w),
            Algorithm::Depthwise => depthwise::backward_input(&sizes, &dy, &w),
            Algorithm::Planes => planes::backward_input(&sizes, &dy, &w),
            Algorithm::Patches => patches::backward_input(&sizes, &dy, &w),
        };
        tensor(dx, input)
    })
}

/// The gradient with respect to the weights, summed over the batch; `weight` is the weights' shape.
pub fn backward_weight(
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    on_card!(x, card => cuda::conv::backward_weight(card, x, dy, weight, geometry));
    let sizes = Sizes::new(x.dims(), weight, geometry)?;
    with_real!(x.dtype(), T => {
        let (x, dy) = (view::<T>(x)?, view::<T>(dy)?);
        check_len(dy.len(), sizes.output_len())?;
        let dw = match sizes.algorithm() {
            Algorithm::Pointwise => pointwise::backward_weight(&sizes, &x, &dy),
            Algorithm::Depthwise => depthwise::backward_weight(&sizes, &x, &dy),
            Algorithm::Planes => planes::backward_weight(&sizes, &x, &dy),
            Algorithm::Patches => patches::backward_weight(&sizes, &x, &dy),
        };
        tensor(dw, weight)
    })
}

fn check_len(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::failed(format!(
        "a convolution's output gradient has {found} elements, expected {expected}"
    )))
}
