//! The step of FAB (Croce and Hein, arXiv 1907.02044) to the boundary of a class, made straight by its gradient.

mod card;
mod cpu;
mod hyperplane;

use candle_core::Tensor;

use super::card::{constant, expect};
use super::device::ops;
use super::perturbation::Norm;
use super::same::same;
use crate::{Error, Result};

/// How far a step overshoots the hyperplane.
const ETA: f64 = 1.05;
/// The most that a step is drawn towards the original.
const ALPHA_MAX: f64 = 0.1;

const _: () = assert!(constant(include_str!("kernel.cu"), "ROUNDS") == hyperplane::ROUNDS);

ops! {
    /// The next points of images `(N, C, H, W)` in [0, 1]: the projections of the present point and of the original on the
    /// hyperplane on which `margin + gradient (x' - x)` is 0, both overshot; the second weighs the more, the nearer the
    /// original is. `margins`: of each image, the difference of logits there, whose gradient with respect to the image `gradients`
    /// holds. The norm is linf or l2.
    pub fn next(images: &Tensor, originals: &Tensor, gradients: &Tensor, margins: &[f64], norm: Norm) -> Result<Tensor> {
        check(images, originals, gradients, margins)
    }
}

fn check(images: &Tensor, originals: &Tensor, gradients: &Tensor, margins: &[f64]) -> Result<()> {
    let (n, c, h, w) = images.dims4()?;
    expect::indexable("a step to a boundary", &[c, h, w])?;
    same("a step to a boundary", images, originals)?;
    same("a step to a boundary", images, gradients)?;
    if margins.len() == n {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{n} images have {} margins",
        margins.len()
    )))
}
