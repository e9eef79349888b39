//! Rows brought to mean 0 and variance 1 on the CPU.

use candle_core::Tensor;

use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut, chunks_mut2, rows_per_task};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

/// The mean of numbers, which are computed in float64.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

pub fn forward(x: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    let width = x.dim(candle_core::D::Minus1)?;
    let mut shape = x.dims().to_vec();
    shape.pop();
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = scratch::<T>(input.len());
        let mut inverse = scratch::<T>(input.len() / width);
        let rows = rows_per_task(width);
        chunks_mut2(&mut y, &mut inverse, (rows * width, rows), &|task, y, inverse| {
            let x = chunk(input, rows * width, task).chunks_exact(width);
            for ((x, y), inverse) in x.zip(y.chunks_exact_mut(width)).zip(inverse) {
                let centre = mean(x.iter().map(|x| x.wide()));
                let variance = mean(x.iter().map(|x| (x.wide() - centre) * (x.wide() - centre)));
                let factor = 1.0 / (variance + eps).sqrt();
                for (y, x) in y.iter_mut().zip(x) {
                    *y = T::of((x.wide() - centre) * factor);
                }
                *inverse = T::of(factor);
            }
        });
        Ok((tensor(y, x.shape())?, tensor(inverse, shape)?))
    })
}

pub fn backward(dy: &Tensor, y: &Tensor, inverse_std: &Tensor) -> Result<Tensor> {
    let width = y.dim(candle_core::D::Minus1)?;
    with_real!(dy.dtype(), T => {
        let (gradient, output) = (&*view::<T>(dy)?, &*view::<T>(y)?);
        let inverse = &*view::<T>(inverse_std)?;
        let mut dx = scratch::<T>(gradient.len());
        let rows = rows_per_task(width);
        chunks_mut(&mut dx, rows * width, &|task, dx| {
            let dy = chunk(gradient, rows * width, task).chunks_exact(width);
            let y = chunk(output, rows * width, task).chunks_exact(width);
            let inverse = chunk(inverse, rows, task);
            for (((dx, dy), y), inverse) in dx.chunks_exact_mut(width).zip(dy).zip(y).zip(inverse) {
                let level = mean(dy.iter().map(|dy| dy.wide()));
                let along = mean(dy.iter().zip(y).map(|(dy, y)| dy.wide() * y.wide()));
                for ((dx, dy), y) in dx.iter_mut().zip(dy).zip(y) {
                    *dx = T::of(inverse.wide() * (dy.wide() - level - y.wide() * along));
                }
            }
        });
        tensor(dx, dy.shape())
    })
}
