//! Running sums on the CPU.

use candle_core::Tensor;

use super::{Sums, correct};
use crate::Result;

/// Adds a batch whose losses are finite.
pub fn add(sums: &mut Sums, logits: &Tensor, labels: &[u32], losses: &[f64]) -> Result<()> {
    let loss = losses.iter().sum::<f64>();
    if loss.is_finite() {
        sums.loss += loss;
        sums.correct += correct(logits, labels)?;
        sums.examples += labels.len() as u64;
    }
    Ok(())
}
