//! What a convolution is like: its geometry, the sizes that follow for one input, and which algorithm suits them.

use crate::{Error, Result};

/// Elements of the vectors that a convolution along rows goes by.
pub(in crate::ops) const LANES: usize = 16;

/// Inputs with so few channels go along rows.
const FEW_CHANNELS: usize = 8;

/// What is fixed about a convolution besides its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step between output positions, in both directions.
    pub stride: usize,
    /// Zeros added on each side, in both directions.
    pub padding: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Step between the pixels that neighbouring taps see, in both directions.
    pub dilation: usize,
}

impl Default for Geometry {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            groups: 1,
            dilation: 1,
        }
    }
}

/// All sizes of one convolution of one input.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
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
    pub dilation: usize,
}

impl Sizes {
    pub(super) fn new(input: &[usize], weight: &[usize], geometry: Geometry) -> Result<Self> {
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
            dilation,
        } = geometry;
        if [stride, groups, dilation, kh, kw].contains(&0) {
            return Err(wrong("stride, groups, dilation and kernel are at least 1"));
        }
        if per_group * groups != c_in || c_out % groups != 0 {
            return Err(wrong("the groups do not divide the channels"));
        }
        let reach = [kh, kw].map(|taps| (taps - 1) * dilation + 1);
        if h + 2 * padding < reach[0] || w + 2 * padding < reach[1] {
            return Err(wrong("the kernel is larger than the padded input"));
        }
        Ok(Self {
            n,
            h,
            w,
            c_in,
            oh: (h + 2 * padding - reach[0]) / stride + 1,
            ow: (w + 2 * padding - reach[1]) / stride + 1,
            c_out,
            kh,
            kw,
            stride,
            padding,
            groups,
            dilation,
        })
    }

    pub(super) fn input_len(&self) -> usize {
        self.n * self.h * self.w * self.c_in
    }

    pub(super) fn output_len(&self) -> usize {
        self.n * self.oh * self.ow * self.c_out
    }

    /// The input's shape.
    pub(super) fn input(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.c_in]
    }

    /// The output's shape.
    pub(super) fn output(&self) -> [usize; 4] {
        [self.n, self.oh, self.ow, self.c_out]
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        if self.groups == 1 && (self.kh, self.kw, self.stride, self.padding) == (1, 1, 1, 0) {
            Algorithm::Pointwise
        } else if self.groups == self.c_in
            && self.c_out == self.c_in
            && self.kh == self.kw
            && self.dilation == 1
        {
            Algorithm::Depthwise
        } else if self.groups == 1 && self.c_in <= FEW_CHANNELS && self.fits_planes() {
            Algorithm::Planes
        } else {
            Algorithm::Patches
        }
    }

    /// Whether the convolution can go along rows: stride 1, a square kernel larger than its padding, and rows that are
    /// long enough for a vector that starts in an image's last output row to end before the next image.
    fn fits_planes(&self) -> bool {
        let rows_below = self.kh - 1;
        let narrowest = self.w.min(self.ow);
        self.turns_round() && self.dilation == 1 && rows_below * narrowest >= LANES
    }

    /// Whether the gradient with respect to the input is a convolution of the output's gradient with filters turned
    /// round: nothing is scattered then.
    pub(super) fn turns_round(&self) -> bool {
        self.stride == 1 && self.kh == self.kw && self.padding <= (self.kh - 1) * self.dilation
    }

    /// That convolution, see [`Self::turns_round`].
    pub(super) fn turned_round(&self) -> Self {
        Self {
            h: self.oh,
            w: self.ow,
            c_in: self.c_out,
            oh: self.h,
            ow: self.w,
            c_out: self.c_in,
            padding: (self.kh - 1) * self.dilation - self.padding,
            ..*self
        }
    }
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Pointwise,
    Depthwise,
    Planes,
    Patches,
}
