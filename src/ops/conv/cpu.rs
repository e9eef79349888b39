//! Convolutions on the CPU.

use candle_core::{DType, Tensor};

use super::geometry::{Algorithm, Geometry, Sizes};
use super::{dense, depthwise, patches, planes, pointwise, winograd};
use crate::ops::Real;
use crate::ops::bias;
use crate::ops::real::{tensor, view};
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
        if sizes.suits_dense() {
            return dense::forward::<T>(&sizes, x, weight, bias);
        }
        let (input, w) = (view::<T>(x)?, view::<T>(weight)?);
        let values = bias.map(view::<T>).transpose()?;
        let values = values.as_deref();
        let mut y = match sizes.algorithm() {
            Algorithm::Pointwise => pointwise::forward(&sizes, &input, &w),
            Algorithm::Depthwise => depthwise::cpu::forward(&sizes, &input, &w),
            Algorithm::Planes => planes::forward(&sizes, &input, &w, values),
            Algorithm::Patches if has_tiles::<T>(&sizes) => winograd::forward(&sizes, &input, &w),
            Algorithm::Patches => patches::forward(&sizes, &input, &w),
        };
        if let (Some(values), false) = (values, sizes.algorithm() == Algorithm::Planes) {
            bias::cpu::add(&mut y, values);
        }
        tensor(y, (sizes.n, sizes.oh, sizes.ow, sizes.c_out))
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
        if sizes.suits_dense() {
            return dense::backward_input::<T>(&sizes, dy, weight);
        }
        let (dy, w) = (view::<T>(dy)?, view::<T>(weight)?);
        let dx = match sizes.algorithm() {
            Algorithm::Pointwise => pointwise::backward_input(&sizes, &dy, &w),
            Algorithm::Depthwise => depthwise::cpu::backward_input(&sizes, &dy, &w),
            Algorithm::Planes => planes::backward_input(&sizes, &dy, &w),
            Algorithm::Patches if sizes.turns_round() && has_tiles::<T>(&sizes.turned_round()) => winograd::backward_input(&sizes, &dy, &w),
            Algorithm::Patches => patches::backward_input(&sizes, &dy, &w),
        };
        tensor(dx, input)
    })
}

pub fn backward_weight(
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight, geometry)?;
    with_real!(x.dtype(), T => {
        if sizes.suits_dense() {
            return dense::backward_weight::<T>(&sizes, x, dy);
        }
        let (x, dy) = (view::<T>(x)?, view::<T>(dy)?);
        let dw = match sizes.algorithm() {
            Algorithm::Pointwise => pointwise::backward_weight(&sizes, &x, &dy),
            Algorithm::Depthwise => depthwise::cpu::backward_weight(&sizes, &x, &dy),
            Algorithm::Planes => planes::backward_weight(&sizes, &x, &dy),
            Algorithm::Patches if has_tiles::<T>(&sizes) => winograd::backward_weight(&sizes, &x, &dy),
            Algorithm::Patches => patches::backward_weight(&sizes, &x, &dy),
        };
        tensor(dw, weight)
    })
}
