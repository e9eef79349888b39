//! Two-dimensional convolution, dense, grouped and depthwise: forward and its two gradients.
//!
//! Activations are `(N, H, W, C)`, weights have torch's shape `(out, in/groups, kh, kw)`. Four algorithms: a 1x1
//! convolution with stride 1 is one matrix product, a depthwise one runs directly over channels, one of few channels
//! along image rows, everything else gathers patches by tiles and multiplies.

mod depthwise;
mod filters;
mod patches;
mod planes;
mod pointwise;

use candle_core::Tensor;

#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::on_card;
use super::real::{tensor, view};
use crate::{Error, Result, with_real};

/// What is fixed about a convolution besides its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step between output positions, in both directions.
    pub stride: usize,
    /// Zeros added on each side, in both directions.
    pub padding: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Default for Geometry {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            groups: 1,
        }
    }
}

/// All sizes of one convolution of one input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c_in: usize,
    pub oh: usize,
    pub ow: usize,
    pub c_out: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    pub padding: usize,
    pub groups: usize,
}

impl Sizes {
    pub(crate) fn new(input: &[usize], weight: &[usize], geometry: Geometry) -> Result<Self> {
        let wrong = |why: &str| {
            Error::failed(format!(
                "convolution of an input {input:?} (N, H, W, C) with weights {weight:?} (out, in/groups, kh, kw), \
                 {geometry:?}: {why}"
            ))
        };
        let (&[n, h, w, c_in], &[c_out, per_group, kh, kw]) = (input, weight) else {
            return Err(wrong("both have four dimensions"));
        };
        let Geometry {
            stride,
            padding,
            groups,
        } = geometry;
        if stride == 0 || groups == 0 || kh == 0 || kw == 0 {
            return Err(wrong("stride, groups and kernel are at least 1"));
        }
        if per_group * groups != c_in || c_out % groups != 0 {
            return Err(wrong("the groups do not divide the channels"));
        }
        if h + 2 * padding < kh || w + 2 * padding < kw {
            return Err(wrong("the kernel is larger than the padded input"));
        }
        Ok(Self {
            n,
            h,
            w,
            c_in,
            oh: (h + 2 * padding - kh) / stride + 1,
            ow: (w + 2 * padding - kw) / stride + 1,
            c_out,
            kh,
            kw,
            stride,
            padding,
            groups,
        })
    }

    fn input_len(&self) -> usize {
        self.n * self.h * self.w * self.c_in
    }

    fn output_len(&self) -> usize {
        self.n * self.oh * self.ow * self.c_out
    }

    /// The output's shape.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn output(&self) -> [usize; 4] {
        [self.n, self.oh, self.ow, self.c_out]
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        if self.groups == 1 && (self.kh, self.kw, self.stride, self.padding) == (1, 1, 1, 0) {
            Algorithm::Pointwise
        } else if self.groups == self.c_in && self.c_out == self.c_in && self.kh == self.kw {
            Algorithm::Depthwise
        } else if self.groups == 1 && self.c_in <= planes::FEW_CHANNELS && planes::fits(self) {
            Algorithm::Planes
        } else {
            Algorithm::Patches
        }
    }

    /// Whether the gradient with respect to the input is a convolution of the output's gradient with filters turned
    /// round: nothing is scattered then.
    fn turns_round(&self) -> bool {
        self.stride == 1 && self.kh == self.kw && self.padding < self.kh
    }

    /// That convolution, see [`Self::turns_round`].
    fn turned_round(&self) -> Self {
        Self {
            h: self.oh,
            w: self.ow,
            c_in: self.c_out,
            oh: self.h,
            ow: self.w,
            c_out: self.c_in,
            padding: self.kh - 1 - self.padding,
            ..*self
        }
    }
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Pointwise,
    Depthwise,
    Planes,
    Patches,
}

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
