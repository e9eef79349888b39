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
pub mod augment;
pub mod batch_norm;
pub mod bias;
mod call;
mod columns;
pub mod concat;
pub mod conv;
pub mod cross_entropy;
#[cfg(feature = "cudnn")]
mod cudnn;
pub mod depthwise;
pub mod dropout;
pub mod elementwise;
pub mod expect;
pub mod filters;
#[cfg(test)]
pub mod host;
pub mod image;
pub mod linear;
#[cfg(feature = "cuda")]
mod nvidia;
pub mod pool;
pub mod rescale;
pub mod tally;

pub use call::{Arg, Call};
#[cfg(feature = "cuda")]
pub use nvidia::{cards, open};

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

use super::conv::geometry::Sizes;
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

    /// Computes a matrix product.
    fn multiply(&self, product: &Product<'_>) -> Result<()>;

    /// Computes a dense or grouped convolution, or one of its gradients. `x` is `(N, H, W, in)`, `w` is
    /// `(out, kh, kw, in/groups)`, `y` is `(N, OH, OW, out)`, all of one type; which of them is written, the direction
    /// says.
    fn convolve(
        &self,
        direction: Direction,
        sizes: &Sizes,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
    ) -> Result<()>;

    /// A tensor whose content is unspecified, for results that are written from end to end.
    fn scratch(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        // SAFETY: every kernel here writes each element of its results before anybody reads it.
        Ok(unsafe { Tensor::empty(shape, dtype, self.device())? })
    }
}

/// A product of matrices whose rows lie one after the other: `c (m, n) = a (m, k) b (k, n)`.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub a: &'a Tensor,
    /// Whether `a` is stored as its transpose, `(k, m)`.
    pub a_turned: bool,
    pub b: &'a Tensor,
    /// Whether `b` is stored as its transpose, `(n, k)`.
    pub b_turned: bool,
    /// The result, of the factors' type or float32.
    pub c: &'a Tensor,
}

/// Which of a convolution's three tensors is computed from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `y`
    Forward,
    /// `x`, the gradient with respect to the input
    Input,
    /// `w`, the gradient with respect to the weights
    Weight,
}

#[cfg(test)]
thread_local! {
    /// Whether CPU tensors of this thread count as lying on the host card.
    static ON_HOST: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether CPU tensors of this thread count as lying on the host card.
#[cfg(test)]
pub fn on_host() -> bool {
    ON_HOST.get()
}

/// The card that a tensor must lie on, because what it meets does.
pub fn required(tensor: &Tensor) -> Result<Rc<dyn Card>> {
    card_of(tensor)?.ok_or_else(|| Error::failed("a tensor of the CPU met one of a card"))
}

/// The card that a tensor lies on; none for the CPU.
pub fn card_of(tensor: &Tensor) -> Result<Option<Rc<dyn Card>>> {
    card_at(tensor.device())
}

/// The card behind a device; none for the CPU.
pub fn card_at(device: &Device) -> Result<Option<Rc<dyn Card>>> {
    #[cfg(test)]
    if on_host() {
        return Ok(Some(Rc::new(
            host::host().expect("the test asked for it").clone(),
        )));
    }
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return Ok(Some(nvidia::card(device)?));
    }
    let _ = device;
    Ok(None)
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

/// A failure of the driver or of one of its libraries.
#[cfg(feature = "cuda")]
fn failed(error: impl std::fmt::Debug) -> Error {
    Error::failed(format!("CUDA: {error:?}"))
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
