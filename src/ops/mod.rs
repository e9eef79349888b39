//! The kernels under layers, attacks and optimizers: each op is a folder with its checks (`mod.rs`), its side on the CPU
//! (`cpu.rs`), its side on a card (`card.rs`) and the kernel that this launches (`kernel.cu`). [`card`] is a card's runtime.
//!
//! Conventions of every kernel here:
//! - Activations are channels-last, `(N, H, W, C)`, contiguous: every loop runs over channels with unit stride, and
//!   a 1x1 convolution is a matrix product without copies. Images enter as `(N, C, H, W)` through [`image`].
//! - Weights keep torch's shapes (`(out, in/groups, kh, kw)`), so files need no reshaping.
//! - Element type `f32` or `f64` ([`Real`]): experiments run in `f32`, gradient checks in `f64`.
//! - Work is split into parts whose number depends on shapes alone, and partial sums are added in a fixed order:
//!   results do not depend on the number of threads.

pub mod activation;
pub mod adam;
pub mod augment;
pub mod average;
pub mod batch_norm;
pub mod bias;
pub mod boundary_step;
pub mod broadcast;
pub mod card;
pub mod concat;
pub mod conv;
pub mod cross_entropy;
pub mod curve;
pub mod device;
pub mod dropout;
pub mod elementwise;
pub mod image;
pub mod layer_norm;
pub mod length;
pub mod linear;
pub mod logit_score;
pub mod matmul;
pub mod memory;
pub mod pad;
pub mod parallel;
pub mod perturbation;
pub mod pool;
pub mod precision;
pub mod random_start;
pub mod real;
pub mod rescale;
pub mod rows;
pub mod running_sums;
pub mod same;
pub mod sgd;
pub mod simd;
pub mod square;
mod tile;
mod transpose;

pub use real::Real;
