//! Losses: each example's value and the gradient with which a backward pass starts.

use candle_core::Tensor;

use crate::Result;
use crate::ops::cross_entropy;

/// A batch's losses.
pub struct Loss {
    /// The loss of each example.
    pub per_example: Vec<f64>,
    /// The gradient with respect to the logits, `(N, classes)`.
    pub gradient: Tensor,
}

/// How the losses of a batch are put together before the gradient is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean: training.
    Mean,
    /// Their sum, so that an example's gradient does not depend on the batch it is in: attacks.
    Sum,
}

impl Loss {
    /// The mean over the batch.
    pub fn mean(&self) -> f64 {
        self.per_example.iter().sum::<f64>() / self.per_example.len().max(1) as f64
    }
}

/// Softmax cross-entropy of logits `(N, classes)`.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], reduction: Reduction) -> Result<Loss> {
    let weight = match reduction {
        Reduction::Mean => 1.0 / labels.len().max(1) as f64,
        Reduction::Sum => 1.0,
    };
    let (per_example, gradient) = cross_entropy::forward_backward(logits, labels, weight)?;
    Ok(Loss {
        per_example,
        gradient,
    })
}
