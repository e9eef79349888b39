//! The runtime of a card: what an op's card side is written against.
//!
//! Every op of [`crate::ops`] asks first where its tensor lies ([`card_of`]). What it does on a card is written once
//! against [`Card`]: sizes, memory and launches of the kernel beside it. A [`Card`] is a real one where the feature `cuda`
//! is on; in tests it is also the host, where the same kernels run as plain C++, so that launches and kernels are tested
//! without a card.
//!
//! Types: activations are float32, or bfloat16 where the run's precision says so; weights, their gradients, statistics
//! and losses are always float32 or wider.

mod call;
pub mod chunks;
pub mod columns;
pub mod expect;
#[cfg(test)]
pub mod host;
// The binding to real cards: the one place where the build's features decide.
#[cfg(not(feature = "cuda"))]
#[path = "absent.rs"]
mod nvidia;
#[cfg(feature = "cuda")]
mod nvidia;
pub mod prepared;
mod source;

pub use call::{Arg, Call};
pub use nvidia::{cards, open};
pub use source::constant;

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};

use super::conv::geometry::Sizes;
use crate::{Error, Result};

/// Something that runs kernels on tensors: a card, or the host in tests. All work goes to one queue, in order.
pub trait Card {
    /// Where its tensors lie.
    fn device(&self) -> &Device;

    /// Starts a kernel. Ops call `launch`, which says why they may.
    ///
    /// # Safety
    /// The arguments are the kernel's parameters in number, order and type; at these sizes it stays within the elements of
    /// each tensor; and nothing else uses a tensor that it writes to until the queue has come past it.
    unsafe fn start(&self, call: &Call<'_>) -> Result<()>;

    /// The address of a contiguous tensor's first element, valid as long as the tensor lives.
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

    /// Records what `work` starts, which is then not done before [`Recording::replay`]. `work` makes all tensors that it
    /// writes to and drops them again, except those that it holds; it reads nothing back, brings nothing in from the CPU,
    /// and has run once before.
    fn record(&self, work: Box<dyn Fn() -> Result<()>>) -> Result<Box<dyn Recording>>;

    /// A tensor whose content is unspecified, for results that are written from end to end.
    fn scratch(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        // SAFETY: every kernel here writes each element of its results before any read.
        Ok(unsafe { Tensor::empty(shape, dtype, self.device())? })
    }
}

/// Recorded work of a card: one start for all of its kernels, at the addresses that the recording saw.
pub trait Recording {
    /// Starts the work once more.
    fn replay(&self) -> Result<()>;
}

impl dyn Card + '_ {
    /// Starts a kernel on tensors, whose shapes and types the op has checked.
    pub fn launch(&self, call: &Call<'_>) -> Result<()> {
        // Without blocks there is nothing to do, and a driver refuses such a grid.
        if call.grid.contains(&0) {
            return Ok(());
        }
        // SAFETY: calls are made in the ops' card sides alone. They pass whole tensors of the shapes that they checked with
        // `expect`, and results that they made themselves; the tests on the host run each kernel by these calls, compare
        // the types of arguments with the source's, and fail where one does not fit.
        unsafe { self.start(call) }
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

/// The card that a tensor lies on; none for the CPU.
pub fn card_of(tensor: &Tensor) -> Result<Option<Rc<dyn Card>>> {
    card_at(tensor.device())
}

/// Whether a device is a card.
pub fn is_card(device: &Device) -> bool {
    #[cfg(test)]
    if on_host() {
        return true;
    }
    device.is_cuda()
}

/// The card behind a device; none for the CPU.
pub fn card_at(device: &Device) -> Result<Option<Rc<dyn Card>>> {
    #[cfg(test)]
    if on_host() {
        return Ok(Some(Rc::new(
            host::host().expect("the test asked for it").clone(),
        )));
    }
    match device {
        Device::Cuda(device) => Ok(Some(nvidia::card(device)?)),
        _ => Ok(None),
    }
}

/// Threads of a block, for kernels that have no reason for another number.
pub const THREADS: u32 = constant(include_str!("pack.h"), "THREADS") as u32;

/// The Cargo features of this build that decide what a card can do.
pub fn features() -> Vec<String> {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("cudnn", cfg!(feature = "cudnn")),
    ];
    let on = all.into_iter().filter(|(_, on)| *on);
    on.map(|(name, _)| name.to_owned()).collect()
}

/// The oldest compute capability that the kernels are compiled for.
pub const OLDEST: (i32, i32) = (8, 0);

/// What a card says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct CardInfo {
    pub name: String,
    /// Compute capability, such as (9, 0).
    pub capability: (i32, i32),
    /// Bytes of memory, and how many are free.
    pub memory: usize,
    pub free: usize,
}

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
