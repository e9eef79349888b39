//! Updates of Adam and AdamW, see [`crate::optim::Adam`]: all parameters at once.

mod card;
mod cpu;

use candle_core::Tensor;

use super::card::card_of;
use crate::Result;

/// A parameter with what its update needs, all of one shape and type.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    pub parameter: &'a Tensor,
    /// The average of the gradient.
    pub mean: &'a Tensor,
    /// The average of its square.
    pub square: &'a Tensor,
    pub gradient: &'a Tensor,
}

/// The numbers of a step, the same for all elements.
#[derive(Clone, Copy, Debug)]
pub struct Factors {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Weight decay through the gradient.
    pub coupled: f64,
    /// What weights are multiplied with beforehand.
    pub keep: f64,
    /// `lr / (1 - b1^t)`
    pub rate: f64,
    /// `sqrt(1 - b2^t)`
    pub correction: f64,
}

/// `g += coupled p; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p = keep p - rate m / (sqrt(v) / correction + eps)`, in
/// place.
pub fn step(updates: &[Update<'_>], factors: Factors) -> Result<()> {
    let Some(first) = updates.first() else {
        return Ok(());
    };
    match card_of(first.parameter)? {
        Some(card) => card::step(&*card, updates, factors),
        None => cpu::step(updates, factors),
    }
}
