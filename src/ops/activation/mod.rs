//! Elementwise activations and their derivatives.
//!
//! At its kinks an activation has the derivative that torch gives it: 0 at 0 (ReLU), 0 at 0 and at 6 (ReLU6). A linear
//! backward pass never comes here: the tape hands the gradient through.

pub(in crate::ops) mod card;
pub(in crate::ops) mod cpu;

use candle_core::Tensor;

use super::card::constant;
use super::device::ops;
use super::same::same;
use crate::Result;

/// An activation function.
/// Its number is the kernels'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
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

// The card's side hands an activation's number to the kernels.
const HEADER: &str = include_str!("activation.h");
const _: () = assert!(
    constant(HEADER, "IDENTITY") == Activation::Identity as usize
        && constant(HEADER, "RELU") == Activation::Relu as usize
        && constant(HEADER, "RELU6") == Activation::Relu6 as usize
        && constant(HEADER, "SILU") == Activation::Silu as usize
);

impl Activation {
    /// Whether the derivative can be told from the output alone, so that the input need not be kept.
    pub fn derivative_from_output(self) -> bool {
        self != Self::Silu
    }
}

ops! {
    /// The activation of every element.
    pub fn forward(x: &Tensor, activation: Activation) -> Result<Tensor>

    /// The gradient with respect to the input; `saved` is the output where [`Activation::derivative_from_output`], else
    /// the input.
    pub fn backward(dy: &Tensor, saved: &Tensor, activation: Activation) -> Result<Tensor> {
        same("an activation's gradient", dy, saved)
    }
}
