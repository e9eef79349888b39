//! The same ops on an NVIDIA card.
//!
//! Every op of [`crate::ops`] asks first where its tensor lies ([`on_card!`]); on a card it goes on here. What an op
//! does is written once against [`Card`]: sizes, memory and launches of the kernels in `kernels/`. A [`Card`] is a real
//! one where the feature `cuda` is on; in tests it is also the host, where the same kernels run as plain C++, so that
//! launches and kernels are tested without a card.
//!
//! Types: activations are float32, or bfloat16 where the run's precision says so; weights, their gradients, statistics
//! and losses are always float32 or wider.

pub mod activation;
mod call;
#[cfg(test)]
mod host;

pub use call::{Arg, Call};

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Something that runs kernels on tensors: a card, or the host in tests. All work goes to one queue, in order.
pub trait Card {
    /// Where its tensors lie.
    fn device(&self) -> &Device;

    /// Starts a kernel.
    fn launch(&self, call: &Call) -> Result<()>;

    /// The address of a contiguous tensor's first element. Valid as long as the tensor lives; kernels may write there
    /// where nobody else reads.
    fn address(&self, tensor: &Tensor) -> Result<u64>;

    /// A tensor whose content is unspecified, for results that are written from end to end.
    fn scratch(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        // SAFETY: every kernel here writes each element of its results before anybody reads it.
        Ok(unsafe { Tensor::empty(shape, dtype, self.device())? })
    }
}

/// Threads of a block, for kernels that have no reason for another number.
pub const THREADS: u32 = 256;

/// The ending of the kernels' names for a type of activations.
pub fn suffix(dtype: DType) -> Result<&'static str> {
    match dtype {
        DType::F32 => Ok("f32"),
        DType::BF16 => Ok("bf16"),
        other => Err(Error::failed(format!(
            "tensors of type {other:?} cannot be computed with on a card: expected f32 or bf16"
        ))),
    }
}

/// The same shape and type, or an error that names both.
pub(crate) fn same(what: &str, a: &Tensor, b: &Tensor) -> Result<()> {
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
