//! Tensors that must be alike.

use candle_core::Tensor;

use crate::{Error, Result};

/// The same shape and type, or an error that names both.
pub fn same(what: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() == b.dims() && a.dtype() == b.dtype() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{what}: tensors of {:?} {:?} and {:?} {:?} must agree",
        a.dtype(),
        a.dims(),
        b.dtype(),
        b.dims()
    )))
}
