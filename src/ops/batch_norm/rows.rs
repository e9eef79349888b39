//! The inner loops of batch normalisation, over tiled rows, and their sums.

use crate::ops::Real;
use crate::ops::activation::cpu::{derivative, value};
use crate::ops::parallel::{rows_per_task, sum_parts};
use crate::simd;

/// Channel values as a tiled row of the kernels' type.
pub(in crate::ops) fn tiled<T: Real>(values: &[f64]) -> Vec<T> {
    let values: Vec<T> = values.iter().map(|&v| T::of(v)).collect();
    crate::ops::tile::tiled(&values)
}

/// The sums over all pixels of sums over tiled rows.
pub(super) fn fold(tiled: &[f64], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for row in tiled.chunks_exact(channels) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sums
}

simd! {
    /// Adds `x - origin` and its square, column by column.
    pub(super) fn moment_sums<T>(x: &[T], origin: &[T], sums: &mut [T], squares: &mut [T]) {
        for row in x.chunks(origin.len()) {
            for (((&x, &o), sum), square) in row.iter().zip(origin).zip(sums.iter_mut()).zip(squares.iter_mut()) {
                let d = x - o;
                *sum += d;
                *square = fma!(d, d, *square);
            }
        }
    }
}

simd! {
    pub(super) fn normalise<T, const A: u8>(x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
        for (y, x) in y.chunks_mut(scale.len()).zip(x.chunks(scale.len())) {
            for (((y, &x), &a), &b) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                *y = value::<T, A>(fma!(x, a, b));
            }
        }
    }
}

simd! {
    pub(super) fn normalise_add<T, const A: u8>(x: &[T], residual: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
        let width = scale.len();
        for ((y, x), r) in y.chunks_mut(width).zip(x.chunks(width)).zip(residual.chunks(width)) {
            for ((((y, &x), &r), &a), &b) in y.iter_mut().zip(x).zip(r).zip(scale).zip(shift) {
                *y = value::<T, A>(fma!(x, a, b) + r);
            }
        }
    }
}

simd! {
    /// Adds `dz` and `dz (x - mean)`, column by column, with `dz` from `dy` and the activation at `z`.
    pub(super) fn gradient_sums<T, const A: u8>(
        dy: &[T], x: &[T], scale: &[T], shift: &[T], mean: &[T], sums: &mut [T], products: &mut [T],
    ) {
        let width = scale.len();
        for (dy, x) in dy.chunks(width).zip(x.chunks(width)) {
            for ((((((&dy, &x), &a), &b), &m), sum), product) in
                dy.iter().zip(x).zip(scale).zip(shift).zip(mean).zip(sums.iter_mut()).zip(products.iter_mut())
            {
                let dz = dy * derivative::<T, A>(fma!(x, a, b));
                *sum += dz;
                *product = fma!(dz, x - m, *product);
            }
        }
    }
}

simd! {
    /// `dx = from_dz dz + from_x x + constant`, with `dz` from `dy` and the activation at `z`.
    pub(super) fn input_gradient<T, const A: u8>(
        dy: &[T], x: &[T], scale: &[T], shift: &[T], from_dz: &[T], from_x: &[T], constant: &[T], dx: &mut [T],
    ) {
        let width = scale.len();
        for ((dx, dy), x) in dx.chunks_mut(width).zip(dy.chunks(width)).zip(x.chunks(width)) {
            for (((((((dx, &dy), &x), &a), &b), &p), &q), &c) in
                dx.iter_mut().zip(dy).zip(x).zip(scale).zip(shift).zip(from_dz).zip(from_x).zip(constant)
            {
                let dz = dy * derivative::<T, A>(fma!(x, a, b));
                *dx = fma!(dz, p, fma!(x, q, c));
            }
        }
    }
}

simd! {
    /// `dx = scale dz`: the backward pass with constant statistics.
    pub(super) fn scaled_gradient<T, const A: u8>(dy: &[T], x: &[T], scale: &[T], shift: &[T], dx: &mut [T]) {
        let width = scale.len();
        for ((dx, dy), x) in dx.chunks_mut(width).zip(dy.chunks(width)).zip(x.chunks(width)) {
            for ((((dx, &dy), &x), &a), &b) in dx.iter_mut().zip(dy).zip(x).zip(scale).zip(shift) {
                *dx = dy * (derivative::<T, A>(fma!(x, a, b)) * a);
            }
        }
    }
}

simd! {
    /// As [`normalise`], in place.
    pub(in crate::ops) fn normalise_here<T, const A: u8>(y: &mut [T], scale: &[T], shift: &[T]) {
        for y in y.chunks_mut(scale.len()) {
            for ((y, &a), &b) in y.iter_mut().zip(scale).zip(shift) {
                *y = value::<T, A>(fma!(*y, a, b));
            }
        }
    }
}

simd! {
    /// As [`normalise_add`], in place.
    pub(in crate::ops) fn normalise_add_here<T, const A: u8>(y: &mut [T], residual: &[T], scale: &[T], shift: &[T]) {
        let width = scale.len();
        for (y, r) in y.chunks_mut(width).zip(residual.chunks(width)) {
            for (((y, &r), &a), &b) in y.iter_mut().zip(r).zip(scale).zip(shift) {
                *y = value::<T, A>(fma!(*y, a, b) + r);
            }
        }
    }
}

simd! {
    /// As [`scaled_gradient`], from the output `y`.
    pub(in crate::ops) fn scaled_by_output<T, const A: u8>(dy: &[T], y: &[T], scale: &[T], dx: &mut [T]) {
        let width = scale.len();
        for ((dx, dy), y) in dx.chunks_mut(width).zip(dy.chunks(width)).zip(y.chunks(width)) {
            for (((dx, &dy), &y), &a) in dx.iter_mut().zip(dy).zip(y).zip(scale) {
                *dx = dy * (derivative::<T, A>(y) * a);
            }
        }
    }
}

// The kernels above as one type for all activations: which one it is, is decided once a call.
pub(super) type Normalise<T> = fn(&[T], &[T], &[T], &mut [T]);
pub(super) type NormaliseAdd<T> = fn(&[T], &[T], &[T], &[T], &mut [T]);
pub(super) type GradientSums<T> = fn(&[T], &[T], &[T], &[T], &[T], &mut [T], &mut [T]);
pub(super) type InputGradient<T> = fn(&[T], &[T], &[T], &[T], &[T], &[T], &[T], &mut [T]);
pub(super) type ScaledGradient<T> = fn(&[T], &[T], &[T], &[T], &mut [T]);

/// Two sums of `width` columns over `len` elements in tiled rows: short stretches in `T`, their sums in f64.
pub(super) fn column_sums<T: Real>(
    len: usize,
    width: usize,
    body: &(dyn Fn(std::ops::Range<usize>, &mut [T]) + Sync),
) -> Vec<f64> {
    let stretch = rows_per_task(width).min(256) * width;
    let stretches = len.div_ceil(stretch);
    sum_parts::<f64>(stretches, 64, 2 * width, &|range, totals| {
        let mut sums = vec![T::ZERO; 2 * width];
        for index in range {
            sums.fill(T::ZERO);
            body(index * stretch..((index + 1) * stretch).min(len), &mut sums);
            for (total, sum) in totals.iter_mut().zip(&sums) {
                *total += sum.wide();
            }
        }
    })
}
