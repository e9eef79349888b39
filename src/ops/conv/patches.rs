//! Any convolution that has no algorithm of its own: patches of the input are gathered by tiles and multiplied with the weights.
//!
//! A tile is some images or some rows of one image, so that its patches stay in a core's cache; nothing of the size
//! of the batch's patches is ever allocated. A patch is ordered `(ky, kx, channel)`: each tap copies a contiguous run.

use std::ops::Range;

use super::filters::cpu as filters;
use super::finish::{Finish, unfinished};
use super::geometry::Sizes;
use super::pointwise::weight_parts;
use crate::ops::Real;
use crate::ops::matmul::{Matrix, matmul};
use crate::ops::parallel::{chunks_mut_with, sum_parts};
use crate::ops::real::scratch;

/// Elements of one tile's patches, where that leaves enough pixels to make up for repacking the weights.
const TILE: usize = 1 << 18;
/// Pixels below which a tile's product is slow.
const FEW_PIXELS: usize = 256;
/// Tiles that a batch gives at least, so that every thread has some.
const TILES: usize = 16;

impl Sizes {
    fn depth(&self) -> usize {
        self.kh * self.kw * self.c_in / self.groups
    }

    /// Output pixels in a tile.
    fn tile_pixels(&self) -> usize {
        let all = self.n * self.oh * self.ow;
        let few = FEW_PIXELS.min(all / TILES).max(16);
        (TILE / self.depth()).clamp(few, 1024)
    }

    /// Images in a tile of whole images.
    fn tile_images(&self) -> usize {
        (self.tile_pixels() / (self.oh * self.ow)).max(1)
    }

    /// The part of an input row that the taps of output column `ox` cover: first tap, input column, number of taps.
    fn columns(&self, ox: usize) -> (usize, usize, usize) {
        let left = ox * self.stride;
        let taps = |pixels: usize| pixels.div_ceil(self.dilation).min(self.kw);
        let first = taps(self.padding.saturating_sub(left));
        let last = taps((self.w + self.padding).saturating_sub(left));
        (
            first,
            (left + first * self.dilation).saturating_sub(self.padding),
            last.saturating_sub(first),
        )
    }

    /// The input row that tap `ky` of output row `oy` reads, if it is inside.
    fn row(&self, oy: usize, ky: usize) -> Option<usize> {
        (oy * self.stride + ky * self.dilation)
            .checked_sub(self.padding)
            .filter(|&iy| iy < self.h)
    }
}

/// Fills `patches` (pixels x depth) with what the output pixels `pixels` of group `group` see.
fn gather<T: Real>(sizes: &Sizes, x: &[T], group: usize, pixels: Range<usize>, patches: &mut [T]) {
    let per_in = sizes.c_in / sizes.groups;
    let depth = sizes.depth();
    for (pixel, patch) in pixels.zip(patches.chunks_exact_mut(depth)) {
        let (image, rest) = (pixel / (sizes.oh * sizes.ow), pixel % (sizes.oh * sizes.ow));
        let (oy, ox) = (rest / sizes.ow, rest % sizes.ow);
        let (first, ix, count) = sizes.columns(ox);
        for (ky, taps) in patch.chunks_exact_mut(sizes.kw * per_in).enumerate() {
            let Some(iy) = sizes.row(oy, ky) else {
                taps.fill(T::ZERO);
                continue;
            };
            taps[..first * per_in].fill(T::ZERO);
            taps[(first + count) * per_in..].fill(T::ZERO);
            let inside = &mut taps[first * per_in..(first + count) * per_in];
            let start = ((image * sizes.h + iy) * sizes.w + ix) * sizes.c_in;
            if sizes.groups == 1 && sizes.dilation == 1 {
                inside.copy_from_slice(&x[start..start + inside.len()]);
            } else {
                for (k, tap) in inside.chunks_exact_mut(per_in).enumerate() {
                    let from = start + k * sizes.dilation * sizes.c_in + group * per_in;
                    tap.copy_from_slice(&x[from..from + per_in]);
                }
            }
        }
    }
}

/// Adds `patches` back to the input positions that they were gathered from; `dx` starts at image `first_image`.
fn scatter<T: Real>(
    sizes: &Sizes,
    patches: &[T],
    group: usize,
    pixels: Range<usize>,
    first_image: usize,
    dx: &mut [T],
) {
    let per_in = sizes.c_in / sizes.groups;
    let depth = sizes.depth();
    for (pixel, patch) in pixels.zip(patches.chunks_exact(depth)) {
        let (image, rest) = (pixel / (sizes.oh * sizes.ow), pixel % (sizes.oh * sizes.ow));
        let (oy, ox) = (rest / sizes.ow, rest % sizes.ow);
        let (first, ix, count) = sizes.columns(ox);
        for (ky, taps) in patch.chunks_exact(sizes.kw * per_in).enumerate() {
            let Some(iy) = sizes.row(oy, ky) else {
                continue;
            };
            let inside = &taps[first * per_in..(first + count) * per_in];
            let start = (((image - first_image) * sizes.h + iy) * sizes.w + ix) * sizes.c_in;
            if sizes.groups == 1 && sizes.dilation == 1 {
                for (to, &from) in dx[start..start + inside.len()].iter_mut().zip(inside) {
                    *to += from;
                }
            } else {
                for (k, tap) in inside.chunks_exact(per_in).enumerate() {
                    let to = start + k * sizes.dilation * sizes.c_in + group * per_in;
                    for (to, &from) in dx[to..to + per_in].iter_mut().zip(tap) {
                        *to += from;
                    }
                }
            }
        }
    }
}

pub(super) fn forward<T: Real>(
    sizes: &Sizes,
    x: &[T],
    weight: &[T],
    finish: &Finish<'_, T>,
) -> Vec<T> {
    multiply(sizes, x, &filters::matrices(sizes, weight), finish)
}

/// Patches of `x` times `matrices` of `(groups, depth, out/groups)`.
fn multiply<T: Real>(sizes: &Sizes, x: &[T], matrices: &[T], finish: &Finish<'_, T>) -> Vec<T> {
    let (depth, c_out) = (sizes.depth(), sizes.c_out);
    let per_out = c_out / sizes.groups;
    let tile = sizes.tile_pixels();
    let mut y = scratch(sizes.output_len());
    chunks_mut_with(
        &mut y,
        tile * c_out,
        &|| scratch::<T>(tile * depth),
        &|index, y, patches| {
            let pixels = y.len() / c_out;
            let first = index * tile;
            for group in 0..sizes.groups {
                let patches = &mut patches[..pixels * depth];
                gather(sizes, x, group, first..first + pixels, patches);
                let w = &matrices[group * depth * per_out..(group + 1) * depth * per_out];
                matmul(
                    (pixels, depth, per_out),
                    Matrix::rows(patches, depth),
                    Matrix::rows(w, per_out),
                    &mut y[group * per_out..],
                    c_out,
                    false,
                );
            }
            finish(first * c_out, y);
        },
    );
    y
}

pub(super) fn backward_input<T: Real>(sizes: &Sizes, dy: &[T], weight: &[T]) -> Vec<T> {
    if sizes.turns_round() {
        let matrices = filters::turned_round(sizes, weight);
        return multiply(&sizes.turned_round(), dy, &matrices, &unfinished);
    }
    let rows = filters::rows(sizes, weight);
    let (depth, c_out) = (sizes.depth(), sizes.c_out);
    let per_out = c_out / sizes.groups;
    let image_pixels = sizes.oh * sizes.ow;
    let image_len = sizes.h * sizes.w * sizes.c_in;
    let (images, tile) = (sizes.tile_images(), sizes.tile_pixels());
    let mut dx = vec![T::ZERO; sizes.input_len()];
    chunks_mut_with(
        &mut dx,
        images * image_len,
        &|| scratch::<T>(tile.max(image_pixels.min(tile) * images) * depth),
        &|index, dx, patches| {
            let first_image = index * images;
            let end = (first_image + dx.len() / image_len) * image_pixels;
            let mut start = first_image * image_pixels;
            while start < end {
                let pixels = tile.min(end - start);
                let patches = &mut patches[..pixels * depth];
                for group in 0..sizes.groups {
                    let w = &rows[group * depth * per_out..(group + 1) * depth * per_out];
                    let dy = Matrix {
                        data: &dy[start * c_out + group * per_out..(start + pixels) * c_out],
                        row: c_out,
                        col: 1,
                    };
                    let w = Matrix::rows(w, depth);
                    matmul((pixels, per_out, depth), dy, w, patches, depth, false);
                    scatter(
                        sizes,
                        patches,
                        group,
                        start..start + pixels,
                        first_image,
                        dx,
                    );
                }
                start += pixels;
            }
        },
    );
    dx
}

pub(super) fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let (depth, c_out) = (sizes.depth(), sizes.c_out);
    let per_out = c_out / sizes.groups;
    let pixels = sizes.n * sizes.oh * sizes.ow;
    let tile = sizes.tile_pixels();
    let len = depth * c_out;
    let dw = sum_parts(pixels, weight_parts(len), len, &|range, dw| {
        let mut patches = scratch::<T>(tile * depth);
        for start in range.clone().step_by(tile) {
            let k = tile.min(range.end - start);
            let patches = &mut patches[..k * depth];
            for (group, dw) in dw.chunks_exact_mut(depth * per_out).enumerate() {
                gather(sizes, x, group, start..start + k, patches);
                let dy = Matrix {
                    data: &dy[start * c_out + group * per_out..(start + k) * c_out],
                    row: c_out,
                    col: 1,
                };
                let patches = Matrix::rows(patches, depth);
                matmul((per_out, k, depth), dy.t(), patches, dw, depth, true);
            }
        }
    });
    filters::from_rows(sizes, &dw)
}
