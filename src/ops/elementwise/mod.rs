//! Sums of tensors, in place and not.

mod card;
mod cpu;

use candle_core::Tensor;

use super::device::ops;
use super::same::same;
use crate::Result;

ops! {
    /// `a + b` for tensors of the same shape.
    pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        same("a sum", a, b)
    }

    /// `target += x`, in place. Nothing else may read `target`.
    pub fn add_assign(target: &Tensor, x: &Tensor) -> Result<()> {
        same("a sum", target, x)
    }
}
