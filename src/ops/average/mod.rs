//! Averages of tensors that move towards new values, all at once.

mod card;
mod cpu;

use candle_core::Tensor;

use super::card::card_of;
use super::same::same;
use crate::Result;

/// An average and the value that it takes in, of one shape and type.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub average: &'a Tensor,
    pub value: &'a Tensor,
}

/// `average += share (value - average)`, in place.
pub fn step(pairs: &[Pair<'_>], share: f64) -> Result<()> {
    let Some(first) = pairs.first() else {
        return Ok(());
    };
    for pair in pairs {
        same("an average", pair.average, pair.value)?;
    }
    match card_of(first.average)? {
        Some(card) => card::step(&*card, pairs, share),
        None => cpu::step(pairs, share),
    }
}
