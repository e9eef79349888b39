//! Joining activations along channels, and splitting their gradient again.

use candle_core::Tensor;

#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::parallel::{chunks_mut, rows_per_task};
use super::place::on_card;
use super::real::{View, scratch, tensor, view};
use crate::{Error, Result, with_real};

/// Joins `(N, H, W, C_i)` tensors along channels.
pub fn forward(parts: &[&Tensor]) -> Result<Tensor> {
    on_card!(parts.first().copied().ok_or_else(|| Error::failed("nothing to join"))?, card => cuda::concat::forward(card, parts));
    let first = parts
        .first()
        .ok_or_else(|| Error::failed("nothing to join"))?;
    let (n, h, w, _) = first.dims4()?;
    let mut widths = Vec::with_capacity(parts.len());
    for part in parts {
        let (pn, ph, pw, c) = part.dims4()?;
        if (pn, ph, pw) != (n, h, w) {
            return Err(Error::failed(format!(
                "cannot join activations of shapes {:?} and {:?}",
                first.dims(),
                part.dims()
            )));
        }
        widths.push(c);
    }
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

/// The channels `start..start + width` of a gradient.
pub fn slice(dy: &Tensor, start: usize, width: usize) -> Result<Tensor> {
    on_card!(dy, card => cuda::concat::slice(card, dy, start, width));
    let (n, h, w, c) = dy.dims4()?;
    if start + width > c {
        return Err(Error::failed(format!(
            "channels {start}..{} of {c} were asked for",
            start + width
        )));
    }
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
