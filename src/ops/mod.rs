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
pub mod place;
pub mod pool;
pub mod precision;
pub mod real;
pub mod rescale;
pub mod simd;
mod tile;
mod transpose;

pub use real::Real;
