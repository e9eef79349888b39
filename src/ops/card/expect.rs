//! What ops ask of their arguments before they launch anything.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The tensor has this shape and type, or an error that names both.
pub fn tensor(what: &str, tensor: &Tensor, shape: &[usize], dtype: DType) -> Result<()> {
    if tensor.dims() == shape && tensor.dtype() == dtype {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{what}: expected a tensor of {dtype:?} {shape:?}, found {:?} {:?}",
        tensor.dtype(),
        tensor.dims()
    )))
}

/// As many elements as the kernels' 32-bit indices reach, or an error.
pub fn indexable(what: &str, sizes: &[usize]) -> Result<()> {
    let fits = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .is_some_and(|product| product <= i32::MAX as usize);
    if fits {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{what}: {sizes:?} are more elements than a card's kernel counts"
    )))
}
