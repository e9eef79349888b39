//! Biases on the CPU.

use candle_core::{D, Tensor};

use crate::ops::Real;
use crate::ops::parallel::add_into;
use crate::ops::parallel::{chunks_mut, rows_per_task, sum_parts};
use crate::ops::real::{tensor, view};
use crate::ops::tile::{repeats, tiled};
use crate::{Result, simd, with_real};

simd! {
    /// Adds a bias, as a tiled row, to every row of `rows`.
    pub(in crate::ops) fn add_row<T>(rows: &mut [T], bias: &[T]) {
        for row in rows.chunks_mut(bias.len()) {
            for (y, &b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

simd! {
    fn sum_rows<T>(rows: &[T], sums: &mut [T]) {
        for row in rows.chunks(sums.len()) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

/// Adds a bias to every row of `y`.
pub fn add<T: Real>(y: &mut [T], bias: &[T]) {
    let bias = tiled(bias);
    let step = rows_per_task(bias.len()) * bias.len();
    chunks_mut(y, step, &|_, rows| add_row(rows, &bias));
}

pub fn gradient(dy: &Tensor) -> Result<Tensor> {
    let width = dy.dim(D::Minus1)?;
    with_real!(dy.dtype(), T => {
        let dy = &*view::<T>(dy)?;
        let pixels = repeats(width);
        let wide = pixels * width;
        let stretches = dy.len().div_ceil(wide);
        let sums = sum_parts(stretches, stretches.div_ceil(64).min(16), wide, &|range, sums| {
            sum_rows(&dy[range.start * wide..(range.end * wide).min(dy.len())], sums);
        });
        let mut total = vec![T::ZERO; width];
        for row in sums.chunks_exact(width) {
            add_into(row, &mut total);
        }
        tensor(total, width)
    })
}
