//! Sums of tensors on the CPU.

use candle_core::Tensor;

use crate::ops::parallel::{GRAIN, add_into, chunk, chunks_mut};
use crate::ops::real::{scratch, tensor, view, with_mut};
use crate::{Result, simd, with_real};

simd! {
    fn sum<T>(a: &[T], b: &[T], y: &mut [T]) {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    }
}

pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    with_real!(a.dtype(), T => {
        let (left, right) = (&*view::<T>(a)?, &*view::<T>(b)?);
        let mut y = scratch::<T>(left.len());
        chunks_mut(&mut y, GRAIN, &|i, y| sum(chunk(left, GRAIN, i), chunk(right, GRAIN, i), y));
        tensor(y, a.shape())
    })
}

pub fn add_assign(target: &Tensor, x: &Tensor) -> Result<()> {
    with_real!(x.dtype(), T => {
        let x = &*view::<T>(x)?;
        with_mut::<T, _>(target, |y| {
            chunks_mut(y, GRAIN, &|i, y| add_into(chunk(x, GRAIN, i), y));
        })
    })
}
