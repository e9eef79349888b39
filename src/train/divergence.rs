//! How far a network's answers to adversarial images are from those to clean ones.

use candle_core::{DType, Tensor};
use candle_nn::ops::log_softmax;

use crate::Result;

/// `KL(softmax clean || softmax robust)` of each row of logits `(N, classes)`, and the gradients of their sum; all float64.
pub struct Divergence {
    /// `(N)`.
    pub values: Tensor,
    /// With respect to the clean logits.
    pub clean: Tensor,
    /// With respect to the others.
    pub robust: Tensor,
}

/// The divergence of the answers to adversarial images from those to clean ones.
pub fn divergence(clean: &Tensor, robust: &Tensor) -> Result<Divergence> {
    let [p, q] = [clean, robust].map(|logits| log_softmax(&logits.to_dtype(DType::F64)?, 1));
    let (log_p, log_q) = (p?, q?);
    let (p, ratio) = (log_p.exp()?, (&log_p - &log_q)?);
    let values = (&p * &ratio)?.sum_keepdim(1)?;
    Ok(Divergence {
        clean: (&p * ratio.broadcast_sub(&values)?)?,
        robust: (log_q.exp()? - p)?,
        values: values.squeeze(1)?,
    })
}
