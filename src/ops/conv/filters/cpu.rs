//! A convolution's weights in the orders that matrix products take them in.
//!
//! A patch is ordered `(ky, kx, channel)`, torch's weights are `(out, in/groups, kh, kw)`.

use crate::ops::Real;
use crate::ops::conv::Sizes;
use crate::ops::parallel::chunks_mut;
use crate::ops::real::scratch;

/// Outputs and inputs that are moved together, while both are in the cache.
const BLOCK: usize = 16;

/// `(groups, taps * in/groups, out/groups)`: what patches are multiplied with from the right.
pub fn matrices<T: Real>(sizes: &Sizes, weight: &[T]) -> Vec<T> {
    let (per_in, per_out) = (sizes.c_in / sizes.groups, sizes.c_out / sizes.groups);
    let taps = sizes.kh * sizes.kw;
    let mut matrices = scratch(weight.len());
    chunks_mut(&mut matrices, per_in * per_out, &|index, matrix| {
        let (group, tap) = (index / taps, index % taps);
        let weight = &weight[group * per_out * per_in * taps..];
        for first_out in (0..per_out).step_by(BLOCK) {
            let outputs = first_out..(first_out + BLOCK).min(per_out);
            for (i, row) in matrix.chunks_exact_mut(per_out).enumerate() {
                for (o, to) in outputs.clone().zip(&mut row[outputs.clone()]) {
                    *to = weight[(o * per_in + i) * taps + tap];
                }
            }
        }
    });
    matrices
}

/// `(groups, taps * out/groups, in/groups)` with the taps turned round: what patches of an output's gradient are
/// multiplied with.
pub fn turned_round<T: Real>(sizes: &Sizes, weight: &[T]) -> Vec<T> {
    let (per_in, per_out) = (sizes.c_in / sizes.groups, sizes.c_out / sizes.groups);
    let taps = sizes.kh * sizes.kw;
    let mut matrices = scratch(weight.len());
    chunks_mut(&mut matrices, per_in * per_out, &|index, matrix| {
        let (group, tap) = (index / taps, taps - 1 - index % taps);
        let weight = &weight[group * per_out * per_in * taps..];
        for (row, filters) in matrix
            .chunks_exact_mut(per_in)
            .zip(weight.chunks_exact(per_in * taps))
        {
            for (to, filter) in row.iter_mut().zip(filters.chunks_exact(taps)) {
                *to = filter[tap];
            }
        }
    });
    matrices
}

/// `(out, taps * in/groups)`: a row a filter, in the order of a patch.
pub fn rows<T: Real>(sizes: &Sizes, weight: &[T]) -> Vec<T> {
    let (per_in, taps) = (sizes.c_in / sizes.groups, sizes.kh * sizes.kw);
    reordered(weight, per_in, taps)
}

/// The inverse of [`rows`], for gradients.
pub fn from_rows<T: Real>(sizes: &Sizes, rows: &[T]) -> Vec<T> {
    let (per_in, taps) = (sizes.c_in / sizes.groups, sizes.kh * sizes.kw);
    reordered(rows, taps, per_in)
}

/// Transposes each of the `a` by `b` matrices that `x` consists of.
fn reordered<T: Real>(x: &[T], a: usize, b: usize) -> Vec<T> {
    let mut y = scratch(x.len());
    chunks_mut(&mut y, a * b, &|index, y| {
        let x = &x[index * a * b..(index + 1) * a * b];
        for (j, row) in y.chunks_exact_mut(a).enumerate() {
            for (to, from) in row.iter_mut().zip(x[j..].iter().step_by(b)) {
                *to = *from;
            }
        }
    });
    y
}
