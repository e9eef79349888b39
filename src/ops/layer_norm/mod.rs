//! Rows brought to mean 0 and variance 1 (Ba, Kiros and Hinton, arXiv 1607.06450), without the scales that may follow.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use super::same::same;
use crate::{Error, Result};

ops! {
    /// `y = (x - mean) / sqrt(variance + eps)` for each row of `x`, its last dimension, with the biased variance; and
    /// `1 / sqrt(variance + eps)` of each row.
    pub fn forward(x: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
        rows(x)
    }

    /// The gradient with respect to `x`, from the output `y` and what came with it.
    pub fn backward(dy: &Tensor, y: &Tensor, inverse_std: &Tensor) -> Result<Tensor> {
        same("a layer norm's gradient", dy, y)
    }
}

fn rows(x: &Tensor) -> Result<()> {
    match x.dims().last() {
        Some(1..) => Ok(()),
        _ => Err(Error::failed(format!(
            "a tensor {:?} has no rows",
            x.dims()
        ))),
    }
}
