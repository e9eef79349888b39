//! Elementwise activations and their derivatives.
//!
//! At its kinks an activation has the derivative that torch gives it: 0 at 0 (ReLU), 0 at 0 and at 6 (ReLU6). A linear
//! backward pass never comes here: the tape hands the gradient through.

use candle_core::Tensor;

use super::Real;
use super::parallel::{GRAIN, chunk, chunks_mut};
use super::place::on_card;
use super::real::{scratch, tensor, view};
use crate::{Result, simd, with_real};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `z`
    Identity,
    /// `max(z, 0)`
    Relu,
    /// `min(max(z, 0), 6)`
    Relu6,
    /// `z / (1 + exp(-z))`
    Silu,
}

// The kernels take the activation as a constant, so that their inner loops have no branches on it.
pub(super) const IDENTITY: u8 = 0;
pub(super) const RELU: u8 = 1;
pub(super) const RELU6: u8 = 2;
pub(super) const SILU: u8 = 3;

/// Runs an expression with an activation as the constant `$A`.
macro_rules! with_activation {
    ($kind:expr, $A:ident => $body:expr) => {
        match $kind {
            $crate::ops::activation::Activation::Identity => {
                const $A: u8 = $crate::ops::activation::IDENTITY;
                $body
            }
            $crate::ops::activation::Activation::Relu => {
                const $A: u8 = $crate::ops::activation::RELU;
                $body
            }
            $crate::ops::activation::Activation::Relu6 => {
                const $A: u8 = $crate::ops::activation::RELU6;
                $body
            }
            $crate::ops::activation::Activation::Silu => {
                const $A: u8 = $crate::ops::activation::SILU;
                $body
            }
        }
    };
}
pub(super) use with_activation;

/// The activation's value. Not-a-number stays what it is: a run must notice it.
#[inline(always)]
pub(super) fn value<T: Real, const A: u8>(z: T) -> T {
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

/// `dy` times the derivative at `z`. For ReLU and ReLU6 the value may stand in for `z`: both give the same answer.
#[inline(always)]
pub(super) fn pull<T: Real, const A: u8>(z: T, dy: T) -> T {
    match A {
        RELU => {
            if z > T::ZERO {
                dy
            } else {
                T::ZERO
            }
        }
        RELU6 => {
            if z > T::ZERO && z < T::of(6.0) {
                dy
            } else {
                T::ZERO
            }
        }
        SILU => {
            let gate = T::ONE / (T::ONE + (-z).exp());
            dy * gate * (T::ONE + z * (T::ONE - gate))
        }
        _ => dy,
    }
}

impl Activation {
    /// Whether the derivative can be told from the output alone, so that the input need not be kept.
    pub fn derivative_from_output(self) -> bool {
        self != Self::Silu
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
            *dx = pull::<T, A>(z, dy);
        }
    }
}

/// The activation of every element.
pub fn forward(x: &Tensor, activation: Activation) -> Result<Tensor> {
    on_card!(x, card => super::cuda::activation::forward(card, x, activation));
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut y = scratch(input.len());
        let kernel: fn(&[T], &mut [T]) = with_activation!(activation, A => values::<T, A>);
        chunks_mut(&mut y, GRAIN, &|i, y| kernel(chunk(input, GRAIN, i), y));
        tensor(y, x.shape())
    })
}

/// The gradient with respect to the input; `saved` is the output where [`Activation::derivative_from_output`], else
/// the input.
pub fn backward(dy: &Tensor, saved: &Tensor, activation: Activation) -> Result<Tensor> {
    on_card!(dy, card => super::cuda::activation::backward(card, dy, saved, activation));
    with_real!(dy.dtype(), T => {
        let (gradient, z) = (&*view::<T>(dy)?, &*view::<T>(saved)?);
        let mut dx = scratch(gradient.len());
        let kernel: fn(&[T], &[T], &mut [T]) = with_activation!(activation, A => pulls::<T, A>);
        chunks_mut(&mut dx, GRAIN, &|i, dx| kernel(chunk(z, GRAIN, i), chunk(gradient, GRAIN, i), dx));
        tensor(dx, dy.shape())
    })
}
