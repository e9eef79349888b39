//! Filters, inputs, outputs and their gradients between pixels and frequencies.

use super::lines::{Lanes, filter, filter_back, gradient, input, output, transform};
use super::{FREQUENCIES, REACH, SIDE, Tiles};
use crate::ops::Real;
use crate::ops::conv::geometry::LANES;
use crate::ops::parallel::chunks_mut;
use crate::ops::real::scratch;
use crate::simd;

/// Filters `(c_out, c_in, 3, 3)` at the frequencies: `(inputs, 36, outputs)`, or, turned round for the gradient with respect to the
/// input, with the two sides exchanged.
pub(super) fn frequencies<T: Real>(weight: &[T], c_in: usize, turned: bool) -> Vec<T> {
    let c_out = weight.len() / (9 * c_in);
    let columns = if turned { c_in } else { c_out };
    let mut u = scratch(weight.len() / 9 * FREQUENCIES);
    chunks_mut(&mut u, FREQUENCIES * columns, &|row, u| {
        transform_filters(weight, u, row, c_in, turned);
    });
    u
}

simd! {
    fn transform_filters<T>(weight: &[T], u: &mut [T], row: usize, c_in: usize, turned: bool) {
        let columns = u.len() / FREQUENCIES;
        for first in (0..columns).step_by(LANES) {
            let mut taps = [[Lanes::<T>::ZERO; 3]; 3];
            for lane in 0..LANES {
                let column = first + lane;
                let (out, input) = if turned { (row, column) } else { (column, row) };
                let filter = &weight[(out * c_in + input) * 9..][..9];
                for (tap, &value) in filter.iter().enumerate() {
                    let tap = if turned { 8 - tap } else { tap };
                    taps[tap / 3][tap % 3].0[lane] = value;
                }
            }
            transform(taps, filter, |[y, x], value| value.store(&mut u[(y * REACH + x) * columns + first..]));
        }
    }
}

simd! {
    /// The tiles of the inputs of whole images `x`, at the frequencies: `(36, tiles of a block, channels)`.
    pub(super) fn input_tiles<T>(x: &[T], v: &mut [T], tiles: &Tiles, channels: usize) {
        let plane = tiles.plane(channels);
        let images = x.len() / (tiles.h * tiles.w * channels);
        for (tile, [image, top, left]) in places(images, tiles).enumerate() {
            for first in (0..channels).step_by(LANES) {
                let mut seen = [[Lanes::<T>::ZERO; REACH]; REACH];
                for (y, seen) in seen.iter_mut().enumerate() {
                    let Some(y) = (top + y).checked_sub(tiles.padding).filter(|y| *y < tiles.h) else {
                        continue;
                    };
                    for (column, seen) in seen.iter_mut().enumerate() {
                        let column = (left + column).checked_sub(tiles.padding);
                        if let Some(column) = column.filter(|column| *column < tiles.w) {
                            let pixel = (image * tiles.h + y) * tiles.w + column;
                            *seen = Lanes::load(&x[pixel * channels + first..]);
                        }
                    }
                }
                let at = tile * channels + first;
                transform(seen, input, |[y, x], value| value.store(&mut v[(y * REACH + x) * plane + at..]));
            }
        }
    }
}

simd! {
    /// The outputs `y` of whole images from their tiles at the frequencies, `(36, tiles of a block, channels)`.
    pub(super) fn output_tiles<T>(m: &[T], y: &mut [T], tiles: &Tiles, channels: usize) {
        let plane = tiles.plane(channels);
        let images = y.len() / (tiles.oh * tiles.ow * channels);
        for (tile, [image, top, left]) in places(images, tiles).enumerate() {
            for first in (0..channels).step_by(LANES) {
                let products = at_frequencies(m, plane, tile * channels + first);
                transform(products, output, |[row, column], value| {
                    if top + row < tiles.oh && left + column < tiles.ow {
                        let pixel = (image * tiles.oh + top + row) * tiles.ow + left + column;
                        value.store(&mut y[pixel * channels + first..]);
                    }
                });
            }
        }
    }
}

simd! {
    /// The tiles of gradients `dy` with respect to the outputs of whole images, at the frequencies.
    pub(super) fn gradient_tiles<T>(dy: &[T], w: &mut [T], tiles: &Tiles, channels: usize) {
        let plane = tiles.plane(channels);
        let images = dy.len() / (tiles.oh * tiles.ow * channels);
        for (tile, [image, top, left]) in places(images, tiles).enumerate() {
            for first in (0..channels).step_by(LANES) {
                let mut seen = [[Lanes::<T>::ZERO; SIDE]; SIDE];
                for (y, seen) in seen.iter_mut().enumerate().take(tiles.oh - top) {
                    for (x, seen) in seen.iter_mut().enumerate().take(tiles.ow - left) {
                        let pixel = (image * tiles.oh + top + y) * tiles.ow + left + x;
                        *seen = Lanes::load(&dy[pixel * channels + first..]);
                    }
                }
                let at = tile * channels + first;
                transform(seen, gradient, |[y, x], value| value.store(&mut w[(y * REACH + x) * plane + at..]));
            }
        }
    }
}

simd! {
    /// The gradients of the filters of an output, `(c_in, 3, 3)`, from those at the frequencies, `(36, c_out, c_in)`.
    pub(super) fn filter_gradients<T>(du: &[T], dw: &mut [T], out: usize, plane: usize) {
        let c_in = dw.len() / 9;
        for first in (0..c_in).step_by(LANES) {
            let gradients = at_frequencies(du, plane, out * c_in + first);
            transform(gradients, filter_back, |[ky, kx], value| {
                for (lane, &value) in value.0.iter().enumerate() {
                    dw[(first + lane) * 9 + ky * 3 + kx] = value;
                }
            });
        }
    }
}

/// The values at all frequencies, each `plane` after the one before.
#[inline(always)]
fn at_frequencies<T: Real>(from: &[T], plane: usize, at: usize) -> [[Lanes<T>; REACH]; REACH] {
    let mut tile = [[Lanes::ZERO; REACH]; REACH];
    for (y, row) in tile.iter_mut().enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            *value = Lanes::load(&from[(y * REACH + x) * plane + at..]);
        }
    }
    tile
}

/// The image, first row and first column of each tile of so many images.
#[inline(always)]
fn places(images: usize, tiles: &Tiles) -> impl Iterator<Item = [usize; 3]> {
    let (down, across) = (tiles.down, tiles.across);
    (0..images).flat_map(move |image| {
        (0..down * across).map(move |tile| [image, tile / across * SIDE, tile % across * SIDE])
    })
}
