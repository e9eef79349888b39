//! The kernels under the layers of [`crate::nn`]: each op's forward and backward on Candle storage.
//!
//! Conventions of every kernel here:
//! - Activations are channels-last, `(N, H, W, C)`, contiguous: every loop runs over channels with unit stride, and
//!   a 1x1 convolution is a matrix product without copies. Images enter as `(N, C, H, W)` through [`image`].
//! - Weights keep torch's shapes (`(out, in/groups, kh, kw)`), so files need no reshaping.
//! - Element type `f32` or `f64` ([`Real`]): experiments run in `f32`, gradient checks in `f64`.
//! - Work is split into parts whose number depends on shapes alone, and partial sums are added in a fixed order:
//!   results do not depend on the number of threads.

pub mod activation;
pub mod batch_norm;
pub mod concat;
pub mod conv;
pub mod cross_entropy;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
pub mod dropout;
pub mod elementwise;
pub mod image;
pub mod linear;
pub mod matmul;
mod memory;
pub mod parallel;
pub mod pool;
pub mod precision;
pub mod real;
pub mod rescale;
pub mod simd;
mod tile;
mod transpose;

pub use real::Real;

use candle_core::Device;

/// Whether the ops on this device's tensors run on a card, where one thread fills a queue, instead of on the threads of
/// [`parallel`].
pub fn runs_on_card(device: &Device) -> bool {
    #[cfg(test)]
    if cuda::on_host() {
        return true;
    }
    device.is_cuda()
}

/// Leaves the function with the result of the second expression where a tensor lies on a card; the card has the name
/// that is given. Without the feature `cuda` there are no cards.
macro_rules! on_card {
    ($tensor:expr, $card:ident => $body:expr) => {
        #[cfg(any(feature = "cuda", test))]
        if let Some($card) = $crate::ops::cuda::card_of($tensor)? {
            let $card = &*$card;
            return $body;
        }
    };
}
pub(crate) use on_card;
