//! Gradients brought to the norms of others on the CPU.

use candle_core::Tensor;

use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

pub fn to_norms_of(x: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let width = x.elem_count() / x.dim(0)?.max(1);
    with_real!(x.dtype(), T => {
        let (x_values, reference) = (&*view::<T>(x)?, &*view::<T>(reference)?);
        let mut y = scratch::<T>(x_values.len());
        chunks_mut(&mut y, width.max(1), &|i, y| {
            let x = chunk(x_values, width, i);
            let own = norm(x);
            let factor = if own > 0.0 { norm(chunk(reference, width, i)) / own } else { 1.0 };
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x * T::of(factor);
            }
        });
        tensor(y, x.shape())
    })
}

fn norm<T: Real>(values: &[T]) -> f64 {
    values
        .iter()
        .map(|v| v.wide() * v.wide())
        .sum::<f64>()
        .sqrt()
}
