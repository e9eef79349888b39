//! Joining activations along channels on the CPU.

use candle_core::Tensor;

use super::joinable;
use crate::ops::parallel::{chunks_mut, rows_per_task};
use crate::ops::real::{View, scratch, tensor, view};
use crate::{Result, with_real};

pub fn forward(parts: &[&Tensor]) -> Result<Tensor> {
    let first = joinable(parts)?;
    let (n, h, w, _) = first.dims4()?;
    let widths: Vec<usize> = parts.iter().map(|part| part.dims()[3]).collect();
    let width: usize = widths.iter().sum();
    with_real!(first.dtype(), T => {
        let inputs: Vec<View<'_, T>> = parts.iter().map(|part| view::<T>(part)).collect::<Result<_>>()?;
        let slices: Vec<&[T]> = inputs.iter().map(|view| &**view).collect();
        let mut y = scratch::<T>(n * h * w * width);
        let rows = rows_per_task(width);
        chunks_mut(&mut y, rows * width, &|task, y| {
            for (row, y) in y.chunks_exact_mut(width).enumerate() {
                let pixel = task * rows + row;
                let mut start = 0;
                for (x, &c) in slices.iter().zip(&widths) {
                    y[start..start + c].copy_from_slice(&x[pixel * c..(pixel + 1) * c]);
                    start += c;
                }
            }
        });
        tensor(y, (n, h, w, width))
    })
}

pub fn slice(dy: &Tensor, start: usize, width: usize) -> Result<Tensor> {
    let (n, h, w, c) = dy.dims4()?;
    with_real!(dy.dtype(), T => {
        let dy = &*view::<T>(dy)?;
        let mut dx = scratch::<T>(n * h * w * width);
        let rows = rows_per_task(width);
        chunks_mut(&mut dx, rows * width, &|task, dx| {
            for (row, dx) in dx.chunks_exact_mut(width).enumerate() {
                let from = (task * rows + row) * c + start;
                dx.copy_from_slice(&dy[from..from + width]);
            }
        });
        tensor(dx, (n, h, w, width))
    })
}
