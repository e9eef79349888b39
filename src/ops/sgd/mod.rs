//! Updates of stochastic gradient descent, see [`crate::optim::Sgd`]: all parameters at once.

mod card;
mod cpu;

use candle_core::Tensor;

use super::card::card_of;
use crate::Result;

/// A parameter with what its update needs, all of one shape and type.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    pub parameter: &'a Tensor,
    /// None without momentum.
    pub velocity: Option<&'a Tensor>,
    pub gradient: &'a Tensor,
}

/// The numbers of a step, the same for all elements.
#[derive(Clone, Copy, Debug)]
pub struct Factors {
    /// The learning rate.
    pub rate: f64,
    /// The factor of the l2 penalty.
    pub decay: f64,
    pub momentum: f64,
    pub nesterov: bool,
}

/// `g += wd p; v = mu v + g; p -= lr v`, or `p -= lr (g + mu v)` in Nesterov's form, in place.
pub fn step(updates: &[Update<'_>], factors: Factors) -> Result<()> {
    let Some(first) = updates.first() else {
        return Ok(());
    };
    match card_of(first.parameter)? {
        Some(card) => card::step(&*card, updates, factors),
        None => cpu::step(updates, factors),
    }
}
