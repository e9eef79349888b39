//! Sums of tensors, in place and not.

use candle_core::Tensor;

#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::parallel::{GRAIN, chunk, chunks_mut};
use super::place::on_card;
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
    on_card!(a, card => cuda::elementwise::add(card, a, b));
    if a.dims() != b.dims() {
        return Err(shape_mismatch(a, b));
    }
    with_real!(a.dtype(), T => {
        let (left, right) = (&*view::<T>(a)?, &*view::<T>(b)?);
        let mut y = scratch::<T>(left.len());
        chunks_mut(&mut y, GRAIN, &|i, y| sum(chunk(left, GRAIN, i), chunk(right, GRAIN, i), y));
        tensor(y, a.shape())
    })
}

/// `target += x`, in place. Nobody else may read `target`.
pub fn add_assign(target: &Tensor, x: &Tensor) -> Result<()> {
    on_card!(target, card => cuda::elementwise::add_assign(card, target, x));
    if target.dims() != x.dims() {
        return Err(shape_mismatch(target, x));
    }
    with_real!(x.dtype(), T => {
        let x = &*view::<T>(x)?;
        with_mut::<T, _>(target, |y| {
            chunks_mut(y, GRAIN, &|i, y| add_into(chunk(x, GRAIN, i), y));
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
