//! Activations on the CPU.

use candle_core::Tensor;

use super::Activation;
use crate::ops::Real;
use crate::ops::parallel::{GRAIN, chunk, chunks_mut};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, simd, with_real};

// The kernels take the activation as a constant, so that their inner loops have no branches on it.
pub const IDENTITY: u8 = Activation::Identity as u8;
pub const RELU: u8 = Activation::Relu as u8;
pub const RELU6: u8 = Activation::Relu6 as u8;
pub const SILU: u8 = Activation::Silu as u8;

/// Runs an expression with an activation as the constant `$A`.
macro_rules! with_activation {
    ($kind:expr, $A:ident => $body:expr) => {
        match $kind {
            $crate::ops::activation::Activation::Identity => {
                const $A: u8 = $crate::ops::activation::cpu::IDENTITY;
                $body
            }
            $crate::ops::activation::Activation::Relu => {
                const $A: u8 = $crate::ops::activation::cpu::RELU;
                $body
            }
            $crate::ops::activation::Activation::Relu6 => {
                const $A: u8 = $crate::ops::activation::cpu::RELU6;
                $body
            }
            $crate::ops::activation::Activation::Silu => {
                const $A: u8 = $crate::ops::activation::cpu::SILU;
                $body
            }
        }
    };
}
pub(in crate::ops) use with_activation;

/// The activation's value. Not-a-number stays what it is: a run must notice it.
#[inline(always)]
pub(in crate::ops) fn value<T: Real, const A: u8>(z: T) -> T {
    match A {
        RELU => {
            if z <= T::ZERO {
                T::ZERO
            } else {
                z
            }
        }
        RELU6 => {
            let six = T::of(6.0);
            if z <= T::ZERO {
                T::ZERO
            } else if z >= six {
                six
            } else {
                z
            }
        }
        SILU => z / (T::ONE + (-z).exp()),
        _ => z,
    }
}

/// The derivative at `z`, for which of ReLU and ReLU6 the value may stand: both give the same answer. A gradient is multiplied by
/// it: were it chosen by a condition on `z`, its load from memory would have to wait for that of `z`.
#[inline(always)]
pub(in crate::ops) fn derivative<T: Real, const A: u8>(z: T) -> T {
    let step = |inside: bool| if inside { T::ONE } else { T::ZERO };
    match A {
        RELU => step(z > T::ZERO),
        RELU6 => step(z > T::ZERO && z < T::of(6.0)),
        SILU => {
            let gate = T::ONE / (T::ONE + (-z).exp());
            gate * (T::ONE + z * (T::ONE - gate))
        }
        _ => T::ONE,
    }
}

simd! {
    fn values<T, const A: u8>(x: &[T], y: &mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = value::<T, A>(x);
        }
    }
}

simd! {
    fn pulls<T, const A: u8>(z: &[T], dy: &[T], dx: &mut [T]) {
        for ((dx, &z), &dy) in dx.iter_mut().zip(z).zip(dy) {
            *dx = dy * derivative::<T, A>(z);
        }
    }
}

pub fn forward(x: &Tensor, activation: Activation) -> Result<Tensor> {
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = scratch(input.len());
        let kernel: fn(&[T], &mut [T]) = with_activation!(activation, A => values::<T, A>);
        chunks_mut(&mut y, GRAIN, &|i, y| kernel(chunk(input, GRAIN, i), y));
        tensor(y, x.shape())
    })
}

pub fn backward(dy: &Tensor, saved: &Tensor, activation: Activation) -> Result<Tensor> {
    with_real!(dy.dtype(), T => {
        let (gradient, z) = (&*view::<T>(dy)?, &*view::<T>(saved)?);
        let mut dx = scratch(gradient.len());
        let kernel: fn(&[T], &[T], &mut [T]) = with_activation!(activation, A => pulls::<T, A>);
        chunks_mut(&mut dx, GRAIN, &|i, dx| kernel(chunk(z, GRAIN, i), chunk(gradient, GRAIN, i), dx));
        tensor(dx, dy.shape())
    })
}
