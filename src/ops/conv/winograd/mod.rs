//! 3x3 convolutions with stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308): a tile of 4x4
//! outputs takes 36 multiplications per pair of channels instead of 144.
//!
//! Tiles of inputs, and filters, become values at 36 frequencies; at each of these a matrix product runs over the channels; its
//! results become tiles of outputs. The points of interpolation are 0, +-3/4, +-3/2 and infinity: their constants are exact in
//! f32, and errors are two thirds of those by 0, +-1, +-2 and infinity, five times those of sums of products.

mod lines;
#[cfg(test)]
mod tests;
mod transforms;

use self::transforms::{filter_gradients, frequencies, gradient_tiles, input_tiles, output_tiles};
use super::finish::{Finish, unfinished};
use super::geometry::{LANES, Sizes};
use crate::ops::Real;
use crate::ops::matmul::{Matrix, matmul};
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::real::scratch;

/// Side of a tile of outputs.
const SIDE: usize = 4;
/// Side of the tile of inputs that these see, and of a tile of frequencies.
const REACH: usize = 6;
const FREQUENCIES: usize = REACH * REACH;
/// Tiles of a block at least, where the batch has so many: a product of fewer rows is slow.
const BLOCK: usize = 64;
/// Elements of what lies between the steps at any time: it should stay in the last cache.
const BETWEEN: usize = 1 << 21;

/// How the tiles of a convolution are grouped.
#[derive(Clone, Copy)]
struct Tiles {
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    padding: usize,
    /// Tiles of an image, down and across.
    down: usize,
    across: usize,
    /// Images of a block.
    images: usize,
    /// Blocks that are worked on together.
    blocks: usize,
}

impl Sizes {
    /// Whether tiles are worth it: 3x3 filters without gaps on images that tiles cover without much waste, vectors of whole channels.
    pub(super) fn suits_winograd(&self) -> bool {
        let covered = |side: usize| side.next_multiple_of(SIDE);
        self.turns_round()
            && (self.kh, self.dilation, self.groups) == (3, 1, 1)
            && self.c_in.is_multiple_of(LANES)
            && self.c_out.is_multiple_of(LANES)
            && 2 * covered(self.oh) * covered(self.ow) <= 3 * self.oh * self.ow
    }
}

impl Tiles {
    fn new(sizes: &Sizes) -> Self {
        let (down, across) = (sizes.oh.div_ceil(SIDE), sizes.ow.div_ceil(SIDE));
        let images = (BLOCK / (down * across)).clamp(1, sizes.n.max(1));
        let block = images * down * across * FREQUENCIES * (sizes.c_in + sizes.c_out);
        Self {
            h: sizes.h,
            w: sizes.w,
            oh: sizes.oh,
            ow: sizes.ow,
            padding: sizes.padding,
            down,
            across,
            images,
            blocks: (BETWEEN / block).clamp(1, sizes.n.div_ceil(images).max(1)),
        }
    }

    /// Tiles of an image.
    fn per_image(&self) -> usize {
        self.down * self.across
    }

    /// Elements from one frequency of a block to the next: not a power of two, or all would fall on the same lines of a cache.
    fn plane(&self, channels: usize) -> usize {
        self.per_block() * channels + LANES
    }

    /// Tiles of a block.
    fn per_block(&self) -> usize {
        self.images * self.per_image()
    }
}

pub(super) fn forward<T: Real>(
    sizes: &Sizes,
    x: &[T],
    weight: &[T],
    finish: &Finish<'_, T>,
) -> Vec<T> {
    multiply(sizes, x, &frequencies(weight, sizes.c_in, false), finish)
}

pub(super) fn backward_input<T: Real>(sizes: &Sizes, dy: &[T], weight: &[T]) -> Vec<T> {
    let u = frequencies(weight, sizes.c_in, true);
    multiply(&sizes.turned_round(), dy, &u, &unfinished)
}

/// The convolution of `x` by filters at the frequencies, `(inputs, 36, outputs)`.
fn multiply<T: Real>(sizes: &Sizes, x: &[T], u: &[T], finish: &Finish<'_, T>) -> Vec<T> {
    let tiles = Tiles::new(sizes);
    let (c_in, c_out, images) = (sizes.c_in, sizes.c_out, tiles.images);
    let (image_in, image_out) = (sizes.h * sizes.w * c_in, sizes.oh * sizes.ow * c_out);
    let (rows_in, rows_out) = (tiles.plane(c_in), tiles.plane(c_out));
    let together = tiles.blocks * images;
    let mut y = scratch(sizes.output_len());
    let mut v = scratch::<T>(tiles.blocks * FREQUENCIES * rows_in);
    let mut m = scratch::<T>(tiles.blocks * FREQUENCIES * rows_out);
    let parts = x
        .chunks(together * image_in)
        .zip(y.chunks_mut(together * image_out));
    for (part, (x, y)) in parts.enumerate() {
        let all = x.len() / image_in;
        let used = all.div_ceil(images) * FREQUENCIES;
        chunks_mut(
            &mut v[..used * rows_in],
            FREQUENCIES * rows_in,
            &|block, v| {
                input_tiles(chunk(x, images * image_in, block), v, &tiles, c_in);
            },
        );
        chunks_mut(&mut m[..used * rows_out], rows_out, &|index, m| {
            let (block, frequency) = (index / FREQUENCIES, index % FREQUENCIES);
            let rows = images.min(all - block * images) * tiles.per_image();
            let u = Matrix {
                data: &u[frequency * c_out..],
                row: FREQUENCIES * c_out,
                col: 1,
            };
            let v = Matrix::rows(chunk(&v, rows_in, index), c_in);
            matmul((rows, c_in, c_out), v, u, m, c_out, false);
        });
        chunks_mut(y, images * image_out, &|block, y| {
            output_tiles(chunk(&m, FREQUENCIES * rows_out, block), y, &tiles, c_out);
            finish((part * together + block * images) * image_out, y);
        });
    }
    y
}

pub(super) fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let tiles = Tiles::new(sizes);
    let (c_in, c_out, images) = (sizes.c_in, sizes.c_out, tiles.images);
    let (image_in, image_out) = (sizes.h * sizes.w * c_in, sizes.oh * sizes.ow * c_out);
    let (rows_in, rows_out) = (tiles.plane(c_in), tiles.plane(c_out));
    let together = tiles.blocks * images;
    let mut v = scratch::<T>(tiles.blocks * FREQUENCIES * rows_in);
    let mut w = scratch::<T>(tiles.blocks * FREQUENCIES * rows_out);
    let mut du = scratch::<T>(FREQUENCIES * c_out * c_in);
    let pairs = x
        .chunks(together * image_in)
        .zip(dy.chunks(together * image_out));
    for (before, (x, dy)) in pairs.enumerate() {
        let all = x.len() / image_in;
        let used = all.div_ceil(images);
        chunks_mut(
            &mut v[..used * FREQUENCIES * rows_in],
            FREQUENCIES * rows_in,
            &|block, v| {
                input_tiles(chunk(x, images * image_in, block), v, &tiles, c_in);
            },
        );
        chunks_mut(
            &mut w[..used * FREQUENCIES * rows_out],
            FREQUENCIES * rows_out,
            &|block, w| {
                gradient_tiles(chunk(dy, images * image_out, block), w, &tiles, c_out);
            },
        );
        chunks_mut(&mut du, c_out * c_in, &|frequency, du| {
            for block in 0..used {
                let rows = images.min(all - block * images) * tiles.per_image();
                let index = block * FREQUENCIES + frequency;
                let w = Matrix::rows(chunk(&w, rows_out, index), c_out).t();
                let v = Matrix::rows(chunk(&v, rows_in, index), c_in);
                matmul((c_out, rows, c_in), w, v, du, c_in, before + block > 0);
            }
        });
    }
    let mut dw = scratch(c_out * c_in * 9);
    chunks_mut(&mut dw, c_in * 9, &|out, dw| {
        filter_gradients(&du, dw, out, c_out * c_in)
    });
    dw
}
