//! Filters, inputs, outputs and their gradients between pixels and frequencies.

use super::lines::{Lanes, filter, filter_back, gradient, input, output};
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
            let mut rows = [[Lanes::<T>::ZERO; REACH]; 3];
 for (row, line) in rows.iter_mut().zip(taps) { *row = filter(line); }
            for column in 0..REACH {
                let values = filter([rows[0][column], rows[1][column], rows[2][column]]);
                for (row, value) in values.iter().enumerate() {
                    value.store(&mut u[(row * REACH + column) * columns + first..]);
                }
            }
        }
    }
}

simd! {
    /// The tiles of the inputs of whole images `x`, at the frequencies: `(36, tiles of a block, channels)`.
    pub(super) fn input_tiles<T>(x: &[T], v: &mut [T], tiles: &Tiles, channels: usize) {
        let plane = tiles.plane(channels);
        for (tile, [image, top, left]) in places(x.len() / (tiles.h * tiles.w * channels), tiles).enumerate() {
            for first in (0..channels).step_by(LANES) {
                let mut seen = [[Lanes::<T>::ZERO; REACH]; REACH];
                for (y, seen) in seen.iter_mut().enumerate() {
                    let Some(y) = (top + y).checked_sub(tiles.padding).filter(|y| *y < tiles.h) else {
                        continue;
                    };
                    for (x_of, seen) in seen.iter_mut().enumerate() {
                        if let Some(at) = (left + x_of).checked_sub(tiles.padding).filter(|x| *x < tiles.w) {
                            *seen = Lanes::load(&x[((image * tiles.h + y) * tiles.w + at) * channels + first..]);
                        }
                    }
                }
                let mut rows = [[Lanes::<T>::ZERO; REACH]; REACH];
 for (row, line) in rows.iter_mut().zip(seen) { *row = input(line); }
                for column in 0..REACH {
                    let values = input([rows[0][column], rows[1][column], rows[2][column], rows[3][column], rows[4][column], rows[5][column]]);
                    for (row, value) in values.iter().enumerate() {
                        value.store(&mut v[(row * REACH + column) * plane + tile * channels + first..]);
                    }
                }
            }
        }
    }
}

simd! {
    /// The outputs `y` of whole images from their tiles at the frequencies, `(36, tiles of a block, channels)`.
    pub(super) fn output_tiles<T>(m: &[T], y: &mut [T], tiles: &Tiles, channels: usize) {
        let plane = tiles.plane(channels);
        for (tile, [image, top, left]) in places(y.len() / (tiles.oh * tiles.ow * channels), tiles).enumerate() {
            for first in (0..channels).step_by(LANES) {
                let mut rows = [[Lanes::<T>::ZERO; SIDE]; REACH];
                for (row, values) in rows.iter_mut().enumerate() {
                    let mut line = [Lanes::<T>::ZERO; REACH];
                    for (column, value) in line.iter_mut().enumerate() {
                        *value = Lanes::load(&m[(row * REACH + column) * plane + tile * channels + first..]);
                    }
                    *values = output(line);
                }
                for column in 0..SIDE.min(tiles.ow - left) {
                    let values = output([rows[0][column], rows[1][column], rows[2][column], rows[3][column], rows[4][column], rows[5][column]]);
                    for (row, value) in values.iter().enumerate().take(tiles.oh - top) {
                        value.store(&mut y[((image * tiles.oh + top + row) * tiles.ow + left + column) * channels + first..]);
                    }
                }
            }
        }
    }
}

simd! {
    /// The tiles of gradients `dy` with respect to the outputs of whole images, at the frequencies.
    pub(super) fn gradient_tiles<T>(dy: &[T], w: &mut [T], tiles: &Tiles, channels: usize) {
        let plane = tiles.plane(channels);
        for (tile, [image, top, left]) in places(dy.len() / (tiles.oh * tiles.ow * channels), tiles).enumerate() {
            for first in (0..channels).step_by(LANES) {
                let mut seen = [[Lanes::<T>::ZERO; SIDE]; SIDE];
                for (y, seen) in seen.iter_mut().enumerate().take(tiles.oh - top) {
                    for (x, seen) in seen.iter_mut().enumerate().take(tiles.ow - left) {
                        *seen = Lanes::load(&dy[((image * tiles.oh + top + y) * tiles.ow + left + x) * channels + first..]);
                    }
                }
                let mut rows = [[Lanes::<T>::ZERO; REACH]; SIDE];
 for (row, line) in rows.iter_mut().zip(seen) { *row = gradient(line); }
                for column in 0..REACH {
                    let values = gradient([rows[0][column], rows[1][column], rows[2][column], rows[3][column]]);
                    for (row, value) in values.iter().enumerate() {
                        value.store(&mut w[(row * REACH + column) * plane + tile * channels + first..]);
                    }
                }
            }
        }
    }
}

simd! {
    /// The gradients of the filters of an output, `(c_in, 3, 3)`, from those at the frequencies, `(36, c_out, c_in)`.
    pub(super) fn filter_gradients<T>(du: &[T], dw: &mut [T], out: usize, plane: usize) {
        let c_in = dw.len() / 9;
        for first in (0..c_in).step_by(LANES) {
            let mut rows = [[Lanes::<T>::ZERO; 3]; REACH];
            for (row, values) in rows.iter_mut().enumerate() {
                let mut line = [Lanes::<T>::ZERO; REACH];
                for (column, value) in line.iter_mut().enumerate() {
                    *value = Lanes::load(&du[(row * REACH + column) * plane + out * c_in + first..]);
                }
                *values = filter_back(line);
            }
            for column in 0..3 {
                let values = filter_back([rows[0][column], rows[1][column], rows[2][column], rows[3][column], rows[4][column], rows[5][column]]);
                for (row, value) in values.iter().enumerate() {
                    for (lane, &value) in value.0.iter().enumerate() {
                        dw[(first + lane) * 9 + row * 3 + column] = value;
                    }
                }
            }
        }
    }
}

/// The image, first row and first column of each tile of so many images.
#[inline(always)]
fn places(images: usize, tiles: &Tiles) -> impl Iterator<Item = [usize; 3]> {
    let (down, across) = (tiles.down, tiles.across);
    (0..images).flat_map(move |image| {
        (0..down * across).map(move |tile| [image, tile / across * SIDE, tile % across * SIDE])
    })
}
