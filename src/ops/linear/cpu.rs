//! Fully connected layers on the CPU.

use std::borrow::Cow;

use candle_core::Tensor;

use super::sizes;
use crate::ops::Real;
use crate::ops::bias;
use crate::ops::matmul::{Matrix, matmul};
use crate::ops::parallel::chunks_mut;
use crate::ops::real::{scratch, tensor, view};
use crate::ops::transpose::transposed;
use crate::{Result, with_real};

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

/// Rows in a batch, features and outputs.
pub(in crate::ops) type Sides = (usize, usize, usize);

pub(in crate::ops) fn outputs<T: Real>(x: &[T], w: &[T], (n, features, out): Sides) -> Vec<T> {
    // Rows of both factors run along the sum. The small one is turned, and the result with it.
    let x = at_least_two(x, n);
    let rows = n.max(2);
    let x = transposed(&x, rows, features);
    let turned = product(
        (out, features, rows),
        Matrix::rows(w, features),
        Matrix::rows(&x, rows),
    );
    let mut y = transposed(&turned, out, rows);
    y.truncate(n * out);
    y
}

pub(in crate::ops) fn input_gradient<T: Real>(
    dy: &[T],
    w: &[T],
    (n, features, out): Sides,
) -> Vec<T> {
    let dy = at_least_two(dy, n);
    let mut dx = product(
        (n.max(2), out, features),
        Matrix::rows(&dy, out),
        Matrix::rows(w, features),
    );
    dx.truncate(n * features);
    dx
}

pub(in crate::ops) fn weight_gradient<T: Real>(
    x: &[T],
    dy: &[T],
    (n, features, out): Sides,
) -> Vec<T> {
    product(
        (out, n, features),
        Matrix::rows(dy, out).t(),
        Matrix::rows(x, features),
    )
}

pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let sides = sizes(x.dims(), weight.dims())?;
    with_real!(x.dtype(), T => {
        let mut y = outputs::<T>(&view(x)?, &view(weight)?, sides);
        if let Some(values) = bias {
            bias::cpu::add(&mut y, &view::<T>(values)?);
        }
        tensor(y, (sides.0, sides.2))
    })
}

pub fn backward_input(dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (out, features) = weight.dims2()?;
    let n = dy.dim(0)?;
    with_real!(dy.dtype(), T => {
        tensor(input_gradient::<T>(&view(dy)?, &view(weight)?, (n, features, out)), (n, features))
    })
}

pub fn backward_weight(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let ((n, features), out) = (x.dims2()?, dy.dim(1)?);
    with_real!(x.dtype(), T => {
        tensor(weight_gradient::<T>(&view(x)?, &view(dy)?, (n, features, out)), (out, features))
    })
}
