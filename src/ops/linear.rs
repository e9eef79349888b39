//! Fully connected layer: `y = x W^T + b`, `x` of `(N, in)`, `W` of `(out, in)` as in torch.

use std::borrow::Cow;

use candle_core::Tensor;

use super::Real;
#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::elementwise::add_into;
use super::matmul::{Matrix, matmul};
use super::parallel::{chunks_mut, rows_per_task, sum_parts};
use super::place::on_card;
use super::real::{scratch, tensor, view};
use super::tile::{repeats, tiled};
use super::transpose::transposed;
use crate::{Error, Result, simd, with_real};

/// Multiplications below which a product stays on one thread.
const ALONE: usize = 1 << 18;
/// Rows of a result that one task computes.
const ROWS: usize = 64;

/// `out = a b` (m x k times k x n), split by rows of the result.
fn product<T: Real>(
    (m, k, n): (usize, usize, usize),
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
) -> Vec<T> {
    let mut out = scratch::<T>(m * n);
    let rows = if m * n * k < ALONE {
        m
    } else {
        ROWS.min(m.div_ceil(2))
    };
    chunks_mut(&mut out, rows.max(1) * n, &|index, out| {
        let a = Matrix {
            data: &a.data[index * rows * a.row..],
            ..a
        };
        matmul((out.len() / n, k, n), a, b, out, n, false);
    });
    out
}

/// The rows of a batch, a single one twice: products of a matrix and a vector sum in another order.
fn at_least_two<T: Real>(rows: &[T], n: usize) -> Cow<'_, [T]> {
    match n {
        1 => Cow::Owned(rows.repeat(2)),
        _ => Cow::Borrowed(rows),
    }
}

simd! {
    fn add_row<T>(rows: &mut [T], bias: &[T]) {
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
pub(super) fn add_bias<T: Real>(y: &mut [T], bias: &[T]) {
    let bias = tiled(bias);
    let step = rows_per_task(bias.len()) * bias.len();
    chunks_mut(y, step, &|_, rows| add_row(rows, &bias));
}

fn sizes(x: &[usize], weight: &[usize]) -> Result<(usize, usize, usize)> {
    match (x, weight) {
        (&[n, features], &[out, expected]) if features == expected => Ok((n, features, out)),
        _ => Err(Error::failed(format!(
            "a linear layer with weights {weight:?} (out, in) got an input of shape {x:?}, expected (N, in)"
        ))),
    }
}

/// `x W^T + b`, shape `(N, out)`.
pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    on_card!(x, card => {
        let y = cuda::linear::forward(card, x, weight)?;
        match bias {
            Some(bias) => cuda::bias::add_bias(card, &y, bias).map(|()| y),
            None => Ok(y),
        }
    });
    let (n, features, out) = sizes(x.dims(), weight.dims())?;
    with_real!(x.dtype(), T => {
        let (x, w) = (view::<T>(x)?, view::<T>(weight)?);
        // Rows of both factors run along the sum. The small one is turned, and the result with it.
        let x = at_least_two(&x, n);
        let rows = if n == 1 { 2 } else { n };
        let x = transposed(&x, rows, features);
        let turned = product((out, features, rows), Matrix::rows(&w, features), Matrix::rows(&x, rows));
        let mut y = transposed(&turned, out, rows);
        y.truncate(n * out);
        if let Some(bias) = bias {
            add_bias(&mut y, &view::<T>(bias)?);
        }
        tensor(y, (n, out))
    })
}

/// The gradient with respect to `x`: `dy W`.
pub fn backward_input(dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
    on_card!(dy, card => cuda::linear::backward_input(card, dy, weight));
    let (out, features) = weight.dims2()?;
    let n = dy.dim(0)?;
    with_real!(dy.dtype(), T => {
        let (dy, w) = (view::<T>(dy)?, view::<T>(weight)?);
        let dy = at_least_two(&dy, n);
        let rows = if n == 1 { 2 } else { n };
        let mut dx = product((rows, out, features), Matrix::rows(&dy, out), Matrix::rows(&w, features));
        dx.truncate(n * features);
        tensor(dx, (n, features))
    })
}

/// The gradient with respect to `W`: `dy^T x`.
pub fn backward_weight(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    on_card!(x, card => cuda::linear::backward_weight(card, x, dy));
    let ((n, features), out) = (x.dims2()?, dy.dim(1)?);
    with_real!(x.dtype(), T => {
        let (x, dy) = (view::<T>(x)?, view::<T>(dy)?);
        let dw = product((out, n, features), Matrix::rows(&dy, out).t(), Matrix::rows(&x, features));
        tensor(dw, (out, features))
    })
}

/// The gradient with respect to a bias: `dy` summed over everything but its last dimension.
pub fn backward_bias(dy: &Tensor) -> Result<Tensor> {
    on_card!(dy, card => cuda::bias::backward_bias(card, dy));
    let width = dy.dim(candle_core::D::Minus1)?;
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
