//! Depthwise convolution (as many groups as channels) on a card.

use candle_core::{DType, Tensor};

use crate::ops::card::columns::{Columns, FOLDED, pack};
use crate::ops::card::{Call, Card, constant, expect, suffix};
use crate::ops::conv::Sizes;
use crate::{Error, Result};

const MODULE: &str = "depthwise";

/// Outputs that a thread makes at once along x and y.
const WIDE: usize = constant(include_str!("kernel.cu"), "WIDE");
const TALL: usize = constant(include_str!("kernel.cu"), "TALL");
/// Channels that a thread reads at once, and of bfloat16 where it has registers for more.
const PACKED: usize = constant(include_str!("kernel.cu"), "PACKED");
const PACKED_HALF: usize = constant(include_str!("kernel.cu"), "PACKED_HALF");
/// Numbers of a block's filters.
const FILTERS: usize = constant(include_str!("kernel.cu"), "FILTERS");
/// Tiles that a thread adds up in float32 before sums go on in float64.
const SUMMED: usize = 16;
/// Blocks beyond which a thread makes several tiles, with the same filters in its registers.
const MOST_BLOCKS: usize = 1 << 12;

/// What a kernel goes through: tiles of what it writes, or of the output's gradient.
struct Work {
    sizes: Sizes,
    tile_rows: usize,
    tile_columns: usize,
    columns: Columns,
    /// Whether filters are turned round.
    flip: bool,
}

impl Work {
    /// Tiles of images of `rows` x `columns`, in packs of `most` channels where that is possible.
    fn new(
        card: &dyn Card,
        sizes: Sizes,
        (rows, columns): (usize, usize),
        most: usize,
        tensors: &[&Tensor],
    ) -> Result<Work> {
        let taps = sizes.kh * sizes.kw;
        // Kernels count the pixels of one image, the tiles of all and the filters' elements in 32 bits. An image's
        // neighbourhood belongs to what they count.
        let what = "depthwise convolution";
        let around = 2 * (sizes.kh + sizes.padding);
        let (tall, wide) = (
            sizes.h.max(sizes.oh) + around,
            sizes.w.max(sizes.ow) + around,
        );
        expect::indexable(
            what,
            &[tall * sizes.stride, wide * sizes.stride, sizes.c_in],
        )?;
        expect::indexable(what, &[sizes.n, tall, wide])?;
        expect::indexable(what, &[taps, sizes.c_in])?;
        if sizes.n * sizes.h * sizes.w * sizes.c_in == 0 || taps > FILTERS {
            return Err(Error::failed(
                "depthwise convolution: images are not empty, filters at most 64 x 64",
            ));
        }
        let packed = match most * taps > FILTERS {
            true => 1,
            false => pack(card, sizes.c_in, most, tensors)?,
        };
        Ok(Self {
            sizes,
            tile_rows: rows.div_ceil(TALL),
            tile_columns: columns.div_ceil(WIDE),
            columns: Columns::new(sizes.c_in, packed, FILTERS / (taps * packed)),
            flip: false,
        })
    }

    fn tiles(&self) -> usize {
        self.sizes.n * self.tile_rows * self.tile_columns
    }

    /// The arguments that every kernel ends with.
    fn end<'a>(&self, call: Call<'a>) -> Call<'a> {
        let sizes = &self.sizes;
        call.ints([
            sizes.h,
            sizes.w,
            sizes.oh,
            sizes.ow,
            sizes.c_in,
            sizes.kh,
            sizes.stride,
            sizes.padding,
            self.tiles(),
            self.tile_rows,
            self.tile_columns,
            self.columns.pack,
            self.columns.width,
            usize::from(self.flip),
        ])
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
        card.launch(&self.end(call.of(suffix(from.dtype())?).tensors([from, weight, to])))
    }
}

pub fn forward(card: &dyn Card, sizes: &Sizes, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    check_filters(weight)?;
    let y = card.scratch(&sizes.output(), x.dtype())?;
    let (kernel, most) = match (sizes.kh, sizes.stride) {
        (3, 1) => ("depthwise_correlate_3", packed(x)),
        (3, 2) => ("depthwise_correlate_3", PACKED),
        _ => ("depthwise_correlate", packed(x)),
    };
    let work = Work::new(card, *sizes, (sizes.oh, sizes.ow), most, &[x, &y])?;
    work.launch(card, kernel, (x, weight, &y))?;
    Ok(y)
}

pub fn backward_input(
    card: &dyn Card,
    sizes: &Sizes,
    dy: &Tensor,
    weight: &Tensor,
) -> Result<Tensor> {
    check_filters(weight)?;
    let dx = card.scratch(&sizes.input(), dy.dtype())?;
    if sizes.turns_round() {
        let turned = sizes.turned_round();
        let mut work = Work::new(card, turned, (sizes.h, sizes.w), packed(dy), &[dy, &dx])?;
        work.flip = true;
        let kernel = match sizes.kh {
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
        ..*sizes
    };
    let (kernel, shift) = match (sizes.kh, sizes.stride) {
        // Its tiles begin one pixel early where the padding is odd.
        (3, 2) => ("depthwise_gather_3", sizes.padding % 2),
        _ => ("depthwise_gather", 0),
    };
    let tiled = (sizes.h + shift, sizes.w + shift);
    let work = Work::new(card, gathered, tiled, packed(dy), &[dy, &dx])?;
    work.launch(card, kernel, (dy, weight, &dx))?;
    Ok(dx)
}

pub fn backward_weight(
    card: &dyn Card,
    sizes: &Sizes,
    x: &Tensor,
    dy: &Tensor,
    weight: &[usize],
) -> Result<Tensor> {
    expect::tensor(
        "a convolution's output gradient",
        dy,
        &sizes.output(),
        x.dtype(),
    )?;
    let dw = card.scratch(weight, DType::F32)?;
    let mut work = Work::new(card, *sizes, (sizes.oh, sizes.ow), PACKED, &[x, dy])?;
    // Nothing of this kernel's is bound by the filters' size.
    work.columns = Columns::new(sizes.c_in, work.columns.pack, usize::MAX);
    let parts = work.columns.parts(work.tiles(), SUMMED);
    let taps = sizes.kh * sizes.kw;
    let partial = card.scratch(&[parts.count, taps, sizes.c_in], DType::F64)?;
    let (kernel, depth) = match (sizes.kh, sizes.stride) {
        (3, 1 | 2) => ("depthwise_weights_3", 1),
        _ => ("depthwise_weights", taps),
    };
    let grid = [parts.count as u32, work.columns.tiles as u32, depth as u32];
    card.launch(
        &work.end(
            Call::blocks(MODULE, kernel, grid)
                .of(suffix(x.dtype())?)
                .tensors([x, dy, &partial])
                .int(parts.stretch),
        ),
    )?;
    let blocks = (taps * sizes.c_in).div_ceil(FOLDED) as u32;
    card.launch(
        &Call::blocks(MODULE, "depthwise_fold_weights", [blocks, 1, 1])
            .tensor(&partial)
            .ints([parts.count, sizes.c_in, taps])
            .tensor(&dw),
    )?;
    Ok(dw)
}

fn packed(x: &Tensor) -> usize {
    match x.dtype() {
        DType::BF16 => PACKED_HALF,
        _ => PACKED,
    }
}

/// Filters are read in float32.
fn check_filters(weight: &Tensor) -> Result<()> {
    expect::tensor("a filter's weights", weight, weight.dims(), DType::F32)
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
