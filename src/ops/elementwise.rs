//! Sums of tensors, in place and not.

use candle_core::Tensor;
use rayon::prelude::*;

use super::parallel::GRAIN;
use super::real::{scratch, tensor, view, with_mut};
use crate::{Result, simd, with_real};

simd! {
    /// `y += x`, one thread.
    pub fn add_into<T>(x: &[T], y: &mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

simd! {
    fn sum<T>(a: &[T], b: &[T], y: &mut [T]) {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    }
}

/// `a + b` for tensors of the same shape.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.dims() != b.dims() {
        return Err(shape_mismatch(a, b));
    }
    with_real!(a.dtype(), T => {
        let (left, right) = (view::<T>(a)?, view::<T>(b)?);
        let mut y = scratch::<T>(left.len());
        y.par_chunks_mut(GRAIN)
            .zip(left.par_chunks(GRAIN))
            .zip(right.par_chunks(GRAIN))
            .for_each(|((y, a), b)| sum(a, b, y));
        tensor(y, a.shape())
    })
}

/// `target += x`, in place. Nobody else may read `target`.
pub fn add_assign(target: &Tensor, x: &Tensor) -> Result<()> {
    if target.dims() != x.dims() {
        return Err(shape_mismatch(target, x));
    }
    with_real!(x.dtype(), T => {
        let x = view::<T>(x)?;
        with_mut::<T, _>(target, |y| {
            y.par_chunks_mut(GRAIN)
                .zip(x.par_chunks(GRAIN))
                .for_each(|(y, x)| add_into(x, y));
        })
    })
}

fn shape_mismatch(a: &Tensor, b: &Tensor) -> crate::Error {
    crate::Error::failed(format!(
        "cannot add tensors of shapes {:?} and {:?}",
        a.dims(),
        b.dims()
    ))
}
