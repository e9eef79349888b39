//! Convolutions on the CPU.

use candle_core::{DType, Tensor};

use super::finish::{Finish, Gradient};
use super::geometry::{Algorithm, Geometry, Sizes};
use super::{dense, depthwise, patches, planes, pointwise, winograd};
use crate::ops::Real;
use crate::ops::bias;
use crate::ops::parallel::{chunks_mut, rows_per_task};
use crate::ops::real::{tensor, view};
use crate::ops::tile::tiled;
use crate::{Result, with_real};

/// Whether a convolution goes by tiles. In f64, which is there to check by, sums of products stay what they are.
fn has_tiles<T: Real>(sizes: &Sizes) -> bool {
    T::DTYPE == DType::F32 && sizes.suits_winograd()
}

pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), geometry)?;
    with_real!(x.dtype(), T => {
        tensor(forward_with::<T>(&sizes, x, weight, bias, None)?, &sizes.output())
    })
}

/// The outputs, each part ended by `finish` after the bias was added.
pub(super) fn forward_with<T: Real>(
    sizes: &Sizes,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    finish: Option<&Finish<'_, T>>,
) -> Result<Vec<T>> {
    let (x, w) = (&*view::<T>(x)?, &*view::<T>(weight)?);
    let bias = bias.map(view::<T>).transpose()?;
    let bias = bias.as_deref();
    let row = bias.map(tiled);
    let end: &Finish<'_, T> = &|first, y| {
        if let Some(row) = &row {
            bias::cpu::add_row(y, row);
        }
        if let Some(finish) = finish {
            finish(first, y);
        }
    };
    // What has no parts in the cache is ended by parts of its own.
    let ended = |mut y: Vec<T>, end: &Finish<'_, T>| {
        let step = rows_per_task(sizes.c_out) * sizes.c_out;
        chunks_mut(&mut y, step, &|i, y| end(i * step, y));
        y
    };
    Ok(match sizes.algorithm() {
        _ if sizes.suits_dense() => ended(dense::forward(sizes, x, w), end),
        Algorithm::Pointwise => pointwise::forward(sizes, x, w, end),
        Algorithm::Depthwise => depthwise::cpu::forward(sizes, x, w, end),
        Algorithm::Planes => {
            let y = planes::forward(sizes, x, w, bias);
            match finish {
                None => y,
                Some(finish) => ended(y, finish),
            }
        }
        Algorithm::Patches if has_tiles::<T>(sizes) => winograd::forward(sizes, x, w, end),
        Algorithm::Patches => patches::forward(sizes, x, w, end),
    })
}

pub fn backward_input(
    dy: &Tensor,
    weight: &Tensor,
    input: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(input, weight.dims(), geometry)?;
    with_real!(dy.dtype(), T => {
        backward_input_of(&sizes, Gradient::plain(&view::<T>(dy)?), weight)
    })
}

/// The gradient with respect to the input from that of the output.
pub(super) fn backward_input_of<T: Real>(
    sizes: &Sizes,
    dy: Gradient<'_, T>,
    weight: &Tensor,
) -> Result<Tensor> {
    let w = &*view::<T>(weight)?;
    let all = || dy.all(sizes.c_out);
    let dx = match sizes.algorithm() {
        _ if sizes.suits_dense() => dense::backward_input(sizes, &all(), w),
        Algorithm::Pointwise => pointwise::backward_input(sizes, dy, w),
        Algorithm::Depthwise => depthwise::cpu::backward_input(sizes, dy, w),
        Algorithm::Planes => planes::backward_input(sizes, &all(), w),
        Algorithm::Patches if sizes.turns_round() && has_tiles::<T>(&sizes.turned_round()) => {
            winograd::backward_input(sizes, &all(), w)
        }
        Algorithm::Patches => patches::backward_input(sizes, &all(), w),
    };
    tensor(dx, &sizes.input())
}

pub fn backward_weight(
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = &Sizes::new(x.dims(), weight, geometry)?;
    with_real!(x.dtype(), T => {
        let (x, dy) = (&*view::<T>(x)?, &*view::<T>(dy)?);
        let dw = match sizes.algorithm() {
            _ if sizes.suits_dense() => dense::backward_weight(sizes, x, dy),
            Algorithm::Pointwise => pointwise::backward_weight(sizes, x, dy),
            Algorithm::Depthwise => depthwise::cpu::backward_weight(sizes, x, dy),
            Algorithm::Planes => planes::backward_weight(sizes, x, dy),
            Algorithm::Patches if has_tiles::<T>(sizes) => winograd::backward_weight(sizes, x, dy),
            Algorithm::Patches => patches::backward_weight(sizes, x, dy),
        };
        tensor(dw, weight)
    })
}
