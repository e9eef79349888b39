//! The length of tensors: the l2 norm of all their numbers.

use candle_core::{DType, Tensor};

use crate::Result;

/// The sum of the squares, float64 `()`, where the tensor is. Nothing is waited for.
pub fn squared(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(DType::F64)?.sqr()?.sum_all()?)
}
