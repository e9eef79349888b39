//! Fully connected layer: `y = x W^T + b`, `x` of `(N, in)`, `W` of `(out, in)` as in torch.

use candle_core::Tensor;

use super::Real;
use super::matmul::{Matrix, matmul};
use super::parallel::{chunks_mut, map, rows_per_task, sum_parts};
use super::real::{scratch, tensor, view};
use crate::{Error, Result, simd, with_real};

/// Columns of a result that one task computes: batches are small and weights wide, so columns are what is split.
const COLUMNS: usize = 64;

/// Splits `out = a b` (m x k times k x n) by columns of the result, computes the blocks in parallel and lays them
/// side by side.
fn product<T: Real>(
    (m, k, n): (usize, usize, usize),
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
) -> Vec<T> {
    let mut out = scratch::<T>(m * n);
    if n <= COLUMNS || m * n * k < 1 << 18 {
        matmul((m, k, n), a, b, &mut out, n, false);
        return out;
    }
    let blocks = map(n.div_ceil(COLUMNS), &|index| {
        let start = index * COLUMNS;
        let width = COLUMNS.min(n - start);
        let b = Matrix {
            data: &b.data[start * b.col..],
            ..b
        };
        let mut block = scratch(m * width);
        matmul((m, k, width), a, b, &mut block, width, false);
        (start, width, block)
    });
    for (start, width, block) in blocks {
        for (out, row) in out.chunks_exact_mut(n).zip(block.chunks_exact(width)) {
            out[start..start + width].copy_from_slice(row);
        }
    }
    out
}

simd! {
    fn add_row<T>(rows: &mut [T], bias: &[T]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (y, &b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

simd! {
    fn sum_rows<T>(rows: &[T], sums: &mut [T]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
}

/// Adds a bias to every row of `y`.
pub(super) fn add_bias<T: Real>(y: &mut [T], bias: &[T]) {
    let step = rows_per_task(bias.len()) * bias.len();
    chunks_mut(y, step, &|_, rows| add_row(rows, bias));
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
    let (n, features, out) = sizes(x.dims(), weight.dims())?;
    with_real!(x.dtype(), T => {
        let (x, w) = (view::<T>(x)?, view::<T>(weight)?);
        let w = Matrix::rows(&w, features).t();
        let mut y = product((n, features, out), Matrix::rows(&x, features), w);
        if let Some(bias) = bias {
            add_row(&mut y, &view::<T>(bias)?);
        }
        tensor(y, (n, out))
    })
}

/// The gradient with respect to `x`: `dy W`.
pub fn backward_input(dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (out, features) = weight.dims2()?;
    let n = dy.dim(0)?;
    with_real!(dy.dtype(), T => {
        let (dy, w) = (view::<T>(dy)?, view::<T>(weight)?);
        let dx = product((n, out, features), Matrix::rows(&dy, out), Matrix::rows(&w, features));
        tensor(dx, (n, features))
    })
}

/// The gradient with respect to `W`: `dy^T x`.
pub fn backward_weight(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let ((n, features), out) = (x.dims2()?, dy.dim(1)?);
    with_real!(x.dtype(), T => {
        let (x, dy) = (view::<T>(x)?, view::<T>(dy)?);
        let dw = product((out, n, features), Matrix::rows(&dy, out).t(), Matrix::rows(&x, features));
        tensor(dw, (out, features))
    })
}

/// The gradient with respect to a bias: `dy` summed over everything but its last dimension.
pub fn backward_bias(dy: &Tensor) -> Result<Tensor> {
    let width = dy.dim(candle_core::D::Minus1)?;
    with_real!(dy.dtype(), T => {
        let dy = &*view::<T>(dy)?;
        let sums = sum_parts(dy.len() / width, 16, width, &|rows, sums| {
            sum_rows(&dy[rows.start * width..rows.end * width], sums);
        });
        tensor(sums, width)
    })
}
