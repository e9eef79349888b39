//! Depthwise convolution (as many groups as channels), see [`crate::ops::conv`].

use candle_core::{DType, Tensor};

use super::columns::{Columns, pack};
use super::{Call, Card, expect, suffix};
use crate::ops::conv::geometry::Geometry;
use crate::{Error, Result};

const MODULE: &str = "depthwise";

/// Outputs that a thread makes at once along x and y, as in the kernels.
const WIDE: usize = 4;
const TALL: usize = 2;
/// Channels that a thread reads at once, as in the kernels.
const PACKED: usize = 2;
/// Numbers of a block's filters, as in the kernels.
const FILTERS: usize = 4096;
/// Columns that a block folds, as in the kernels.
const FOLDED: usize = 8;
/// Tiles that a thread adds up in float32 before sums go on in float64.
const SUMMED: usize = 16;
/// Blocks beyond which a thread makes several tiles, with the same filters in its registers.
const MOST_BLOCKS: usize = 1 << 12;

/// All sizes of a convolution.
#[derive(Clone, Copy)]
struct Sizes {
    n: usize,
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

/// What a kernel goes through: tiles of what it writes, or of the output's gradient.
struct Work {
    sizes: Sizes,
    tile_rows: usize,
    tile_columns: usize,
    columns: Columns,
    /// Whether filters are turned round.
    flip: bool,
}

impl Sizes {
    fn new(input: &[usize], weight: &[usize], geometry: Geometry) -> Result<Self> {
        let wrong = |why: &str| {
            Error::failed(format!(
                "depthwise convolution of an input {input:?} (N, H, W, C) with weights {weight:?} (C, 1, k, k), \
                 {geometry:?}: {why}"
            ))
        };
        let (&[n, h, w, channels], &[c_out, 1, kernel, kw]) = (input, weight) else {
            return Err(wrong(
                "both have four dimensions, and a filter has one channel",
            ));
        };
        let Geometry {
            stride,
            padding,
            groups,
        } = geometry;
        if c_out != channels || groups != channels || kernel != kw {
            return Err(wrong("there is one square filter a channel"));
        }
        if input.contains(&0) || stride == 0 || kernel == 0 || kernel * kernel > FILTERS {
            return Err(wrong(
                "sizes and stride are at least 1, filters at most 64 x 64",
            ));
        }
        if h + 2 * padding < kernel || w + 2 * padding < kernel {
            return Err(wrong("the kernel is larger than the padded input"));
        }
        let (oh, ow) = (
            (h + 2 * padding - kernel) / stride + 1,
            (w + 2 * padding - kernel) / stride + 1,
        );
        // Kernels count the pixels of one image, the tiles of all and the filters' elements in 32 bits. An image's
        // neighbourhood belongs to what they count.
        let what = "depthwise convolution";
        let (tall, wide) = (
            h.max(oh) + 2 * (kernel + padding),
            w.max(ow) + 2 * (kernel + padding),
        );
        expect::indexable(what, &[tall * stride, wide * stride, channels])?;
        expect::indexable(what, &[n, tall, wide])?;
        expect::indexable(what, &[kernel * kernel, channels])?;
        Ok(Self {
            n,
            h,
            w,
            oh,
            ow,
            channels,
            kernel,
            stride,
            padding,
        })
    }

    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    fn input(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.channels]
    }

    fn output(&self) -> [usize; 4] {
        [self.n, self.oh, self.ow, self.channels]
    }

    fn weight(&self) -> [usize; 4] {
        [self.channels, 1, self.kernel, self.kernel]
    }

    /// The convolution of the output's gradient with filters turned round that makes the input's, for stride 1.
    fn turned_round(&self) -> Self {
        Self {
            h: self.oh,
            w: self.ow,
            oh: self.h,
            ow: self.w,
            padding: self.kernel - 1 - self.padding,
            ..*self
        }
    }

    /// Tiles of images of `rows` x `columns`.
    fn work(
        self,
        card: &dyn Card,
        (rows, columns): (usize, usize),
        tensors: &[&Tensor],
    ) -> Result<Work> {
        let packed = match 2 * self.taps() > FILTERS {
            true => 1,
            false => pack(card, self.channels, PACKED, tensors)?,
        };
        Ok(Work {
            sizes: self,
            tile_rows: rows.div_ceil(TALL),
            tile_columns: columns.div_ceil(WIDE),
            columns: Columns::new(self.channels, packed, FILTERS / (self.taps() * packed)),
            flip: false,
        })
    }
}

impl Work {
    fn tiles(&self) -> usize {
        self.sizes.n * self.tile_rows * self.tile_columns
    }

    /// The arguments that every kernel ends with.
    fn end(&self, call: Call) -> Call {
        let sizes = &self.sizes;
        call.int(sizes.h)
            .int(sizes.w)
            .int(sizes.oh)
            .int(sizes.ow)
            .int(sizes.channels)
            .int(sizes.kernel)
            .int(sizes.stride)
            .int(sizes.padding)
            .int(self.tiles())
            .int(self.tile_rows)
            .int(self.tile_columns)
            .int(self.columns.pack)
            .int(self.columns.width)
            .int(usize::from(self.flip))
    }

    /// One of the kernels that write an image for each that they read.
    fn launch(
        &self,
        card: &dyn Card,
        kernel: &'static str,
        (from, weight, to): (&Tensor, &Tensor, &Tensor),
    ) -> Result<()> {
        let blocks = self.tiles().div_ceil(self.columns.lanes).min(MOST_BLOCKS);
        let call = Call::blocks(
            MODULE,
            kernel,
            [blocks as u32, self.columns.tiles as u32, 1],
        );
        card.launch(
            &self.end(
                call.of(suffix(from.dtype())?)
                    .pointer(card.address(from)?)
                    .pointer(card.address(weight)?)
                    .pointer(card.address(to)?),
            ),
        )
    }
}

/// `y[n, oy, ox, c] = sum x[n, oy*s + ky - p, ox*s + kx - p, c] w[c, 0, ky, kx]`, shape `(N, OH, OW, C)`.
pub fn forward(card: &dyn Card, x: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight.dims(), geometry)?;
    expect::tensor("a filter's weights", weight, &sizes.weight(), DType::F32)?;
    let y = card.scratch(&sizes.output(), x.dtype())?;
    let work = sizes.work(card, (sizes.oh, sizes.ow), &[x, &y])?;
    let kernel = match (sizes.kernel, sizes.stride) {
        (3, 1 | 2) => "depthwise_correlate_3",
        _ => "depthwise_correlate",
    };
    work.launch(card, kernel, (x, weight, &y))?;
    Ok(y)
}

/// The gradient with respect to the input, from the output's gradient `dy`; `input` is the input's shape.
pub fn backward_input(
    card: &dyn Card,
    dy: &Tensor,
    weight: &Tensor,
    input: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(input, weight.dims(), geometry)?;
    expect::tensor("a filter's weights", weight, &sizes.weight(), DType::F32)?;
    expect::tensor(
        "a convolution's output gradient",
        dy,
        &sizes.output(),
        dy.dtype(),
    )?;
    let dx = card.scratch(&sizes.input(), dy.dtype())?;
    if sizes.stride == 1 && sizes.padding < sizes.kernel {
        let turned = sizes.turned_round();
        let mut work = turned.work(card, (sizes.h, sizes.w), &[dy, &dx])?;
        work.flip = true;
        let kernel = match sizes.kernel {
            3 => "depthwise_correlate_3",
            _ => "depthwise_correlate",
        };
        work.launch(card, kernel, (dy, weight, &dx))?;
        return Ok(dx);
    }
    // What is read and what is written change places.
    let gathered = Sizes {
        h: sizes.oh,
        w: sizes.ow,
        oh: sizes.h,
        ow: sizes.w,
        ..sizes
    };
    let (kernel, shift) = match (sizes.kernel, sizes.stride) {
        // Its tiles begin one pixel early where the padding is odd.
        (3, 2) => ("depthwise_gather_3", sizes.padding % 2),
        _ => ("depthwise_gather", 0),
    };
    let work = gathered.work(card, (sizes.h + shift, sizes.w + shift), &[dy, &dx])?;
    work.launch(card, kernel, (dy, weight, &dx))?;
    Ok(dx)
}

/// The gradient with respect to the weights, float32, summed over the batch; `weight` is the weights' shape.
pub fn backward_weight(
    card: &dyn Card,
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(x.dims(), weight, geometry)?;
    expect::tensor(
        "a convolution's output gradient",
        dy,
        &sizes.output(),
        x.dtype(),
    )?;
    let dw = card.scratch(weight, DType::F32)?;
    let mut work = sizes.work(card, (sizes.oh, sizes.ow), &[x, dy])?;
    // Nothing of this kernel's is bound by the filters' size.
    work.columns = Columns::new(sizes.channels, work.columns.pack, usize::MAX);
    let parts = work.columns.parts(work.tiles(), SUMMED);
    let taps = sizes.taps();
    let partial = card.scratch(&[parts.count, taps, sizes.channels], DType::F64)?;
    let (kernel, depth) = match (sizes.kernel, sizes.stride) {
        (3, 1 | 2) => ("depthwise_weights_3", 1),
        _ => ("depthwise_weights", taps),
    };
    let grid = [parts.count as u32, work.columns.tiles as u32, depth as u32];
    card.launch(
        &work.end(
            Call::blocks(MODULE, kernel, grid)
                .of(suffix(x.dtype())?)
                .pointer(card.address(x)?)
                .pointer(card.address(dy)?)
                .pointer(card.address(&partial)?)
                .int(parts.stretch),
        ),
    )?;
    let blocks = (taps * sizes.channels).div_ceil(FOLDED) as u32;
    card.launch(
        &Call::blocks(MODULE, "depthwise_fold_weights", [blocks, 1, 1])
            .pointer(card.address(&partial)?)
            .int(parts.count)
            .int(sizes.channels)
            .int(taps)
            .pointer(card.address(&dw)?),
    )?;
    Ok(dw)
}

#[cfg(test)]
#[path = "depthwise_tests.rs"]
mod tests;
