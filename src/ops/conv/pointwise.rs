//! 1x1 convolution with stride 1: `Y = X W^T` over all pixels of the batch, no patches.

use super::finish::{Finish, Gradient};
use super::geometry::Sizes;
use crate::ops::Real;
use crate::ops::matmul::{Matrix, matmul};
use crate::ops::parallel::{chunk, chunks_mut, chunks_mut_with, sum_parts};
use crate::ops::real::scratch;
use crate::ops::transpose::transposed;

/// Pixels that one matrix product takes: its operands and result stay in a core's cache.
fn pixels_per_task(sizes: &Sizes) -> usize {
    let width = sizes.c_in + sizes.c_out;
    (1 << 17).max(width) / width.max(1) / 16 * 16 + 16
}

pub(super) fn forward<T: Real>(
    sizes: &Sizes,
    x: &[T],
    weight: &[T],
    finish: &Finish<'_, T>,
) -> Vec<T> {
    let (c_in, c_out) = (sizes.c_in, sizes.c_out);
    let rows = pixels_per_task(sizes);
    let weight = transposed(weight, c_out, c_in);
    let mut y = scratch(sizes.output_len());
    chunks_mut(&mut y, rows * c_out, &|i, y| {
        let x = chunk(x, rows * c_in, i);
        let m = y.len() / c_out;
        let w = Matrix::rows(&weight, c_out);
        matmul((m, c_in, c_out), Matrix::rows(x, c_in), w, y, c_out, false);
        finish(i * rows * c_out, y);
    });
    y
}

pub(super) fn backward_input<T: Real>(sizes: &Sizes, dy: Gradient<'_, T>, weight: &[T]) -> Vec<T> {
    let (c_in, c_out) = (sizes.c_in, sizes.c_out);
    let rows = pixels_per_task(sizes);
    let mut dx = scratch(sizes.input_len());
    let len = dy.buffer_len(rows * c_out);
    chunks_mut_with(&mut dx, rows * c_in, &|| scratch(len), &|i, dx, buffer| {
        let dy = dy.part(i * rows * c_out, dx.len() / c_in * c_out, buffer);
        let m = dx.len() / c_in;
        let w = Matrix::rows(weight, c_in);
        matmul(
            (m, c_out, c_in),
            Matrix::rows(dy, c_out),
            w,
            dx,
            c_in,
            false,
        );
    });
    dx
}

/// Upper bound on the memory of the partial sums of a weight gradient, in elements.
const PARTIAL_SUMS: usize = 1 << 22;

/// How many partial sums a weight gradient of `len` elements is split into.
pub(super) fn weight_parts(len: usize) -> usize {
    (PARTIAL_SUMS / len.max(1)).clamp(2, 16)
}

pub(super) fn backward_weight<T: Real>(sizes: &Sizes, x: &[T], dy: &[T]) -> Vec<T> {
    let (c_in, c_out) = (sizes.c_in, sizes.c_out);
    let pixels = sizes.n * sizes.h * sizes.w;
    let step = pixels_per_task(sizes);
    sum_parts(
        pixels,
        weight_parts(c_in * c_out),
        c_in * c_out,
        &|range, dw| {
            for start in range.clone().step_by(step) {
                let k = step.min(range.end - start);
                let dy = &dy[start * c_out..(start + k) * c_out];
                let x = &x[start * c_in..(start + k) * c_in];
                let dims = (c_out, k, c_in);
                matmul(
                    dims,
                    Matrix::rows(dy, c_out).t(),
                    Matrix::rows(x, c_in),
                    dw,
                    c_in,
                    true,
                );
            }
        },
    )
}
