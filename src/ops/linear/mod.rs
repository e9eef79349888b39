//! Fully connected layer: `y = x W^T + b`, `x` of `(N, in)`, `W` of `(out, in)` as in torch.

pub(in crate::ops) mod card;
pub(in crate::ops) mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::{Error, Result};

fn sizes(x: &[usize], weight: &[usize]) -> Result<(usize, usize, usize)> {
    match (x, weight) {
        (&[n, features], &[out, expected]) if features == expected => Ok((n, features, out)),
        _ => Err(Error::failed(format!(
            "a linear layer with weights {weight:?} (out, in) got an input of shape {x:?}, expected (N, in)"
        ))),
    }
}

ops! {
    /// `x W^T + b`, shape `(N, out)`.
    pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor>

    /// The gradient with respect to `x`: `dy W`.
    pub fn backward_input(dy: &Tensor, weight: &Tensor) -> Result<Tensor>

    /// The gradient with respect to `W`: `dy^T x`.
    pub fn backward_weight(x: &Tensor, dy: &Tensor) -> Result<Tensor>
}
