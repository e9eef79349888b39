//! Batch normalisation over `(N, H, W)` for each channel, fused with an optional residual sum and the activation that
//! follows (Ioffe and Szegedy, arXiv 1502.03167).
//!
//! `z = (x - mean) / sqrt(var + eps) * gamma + beta (+ residual)`, `y = act(z)`. In training mode mean and (biased)
//! variance are the batch's, in evaluation mode the running ones. The forward pass reads x twice (statistics, then
//! the rest), the backward pass reads dy and x twice; `z` is computed again instead of kept.

mod card;
pub(in crate::ops) mod cpu;
pub(in crate::ops) mod rows;

use candle_core::Tensor;

use super::activation::Activation;
use super::device::ops;
use crate::Result;

/// A layer's parameters and running statistics, each of one value per channel.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    pub gamma: &'a Tensor,
    pub beta: &'a Tensor,
    pub running_mean: &'a Tensor,
    pub running_var: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

/// What the backward pass needs besides `x` (and `y` where there was a residual).
#[derive(Clone, Debug)]
pub enum Saved {
    /// Of a pass on the CPU.
    Cpu(cpu::Saved),
    /// Of a pass on a card.
    Card(card::Saved),
}

/// What a backward pass gives.
pub struct Gradients {
    /// With respect to x, where it was wanted.
    pub input: Option<Tensor>,
    /// With respect to gamma and beta, where they were wanted.
    pub parameters: Option<(Tensor, Tensor)>,
}

ops! {
    /// The forward pass in training: with the batch's statistics, which the running ones move towards by `momentum`, in
    /// place, the variance's unbiased. `residual` has x's shape and is added before the activation.
    pub fn train(x: &Tensor, affine: &Affine<'_>, momentum: f64, residual: Option<&Tensor>, activation: Activation) -> Result<(Tensor, Saved)>

    /// The forward pass in evaluation: with the running statistics.
    pub fn evaluate(x: &Tensor, affine: &Affine<'_>, residual: Option<&Tensor>, activation: Activation) -> Result<(Tensor, Saved)>

    /// The backward pass. `dy` is the gradient of the output where `linear` or where there was no residual; with a
    /// residual the caller pulls `dy` through the activation first (both branches need that gradient) and passes
    /// `linear`.
    pub fn backward(dy: &Tensor, x: &Tensor, saved: &Saved, linear: bool, want_input: bool, want_parameters: bool) -> Result<Gradients>
}
