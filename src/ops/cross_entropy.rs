//! Softmax cross-entropy: `loss = log sum exp(logits) - logits[label]`, gradient `softmax - onehot`.

use candle_core::Tensor;

use super::Real;
#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::place::on_card;
use super::real::{tensor, view};
use crate::{Error, Result, with_real};

/// The gradient alone of what [`forward_backward`] computes. On a card nothing is waited for.
pub fn gradient(logits: &Tensor, labels: &[u32], weight: f64) -> Result<Tensor> {
    Ok(losses_and_gradient(logits, labels, weight)?.1)
}

/// What [`forward_backward`] computes, with the losses as float64 `(N)` beside the logits. On a card nothing is waited for.
pub fn losses_and_gradient(
    logits: &Tensor,
    labels: &[u32],
    weight: f64,
) -> Result<(Tensor, Tensor)> {
    on_card!(logits, card => {
        let labels = on_the_card(card, logits, labels)?;
        cuda::cross_entropy::forward_backward(card, logits, &labels, weight)
    });
    let (losses, gradient) = forward_backward(logits, labels, weight)?;
    Ok((tensor(losses, labels.len())?, gradient))
}

/// Labels beside the logits that they belong to.
#[cfg(any(feature = "cuda", test))]
pub(crate) fn on_the_card(
    card: &dyn cuda::Card,
    logits: &Tensor,
    labels: &[u32],
) -> Result<Tensor> {
    check(logits, labels)?;
    Ok(Tensor::from_slice(labels, labels.len(), card.device())?)
}

/// Every example has a label, and every label a logit.
fn check(logits: &Tensor, labels: &[u32]) -> Result<()> {
    let (n, classes) = logits.dims2()?;
    if labels.len() != n {
        return Err(Error::failed(format!(
            "{} labels for {n} examples",
            labels.len()
        )));
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        return Err(Error::failed(format!(
            "label {label} does not fit a model with {classes} classes"
        )));
    }
    Ok(())
}

/// Losses of each example and the gradient of their sum with respect to the logits `(N, classes)`, times `weight`.
pub fn forward_backward(
    logits: &Tensor,
    labels: &[u32],
    weight: f64,
) -> Result<(Vec<f64>, Tensor)> {
    on_card!(logits, card => {
        let labels = on_the_card(card, logits, labels)?;
        let (losses, gradient) = cuda::cross_entropy::forward_backward(card, logits, &labels, weight)?;
        Ok((losses.to_vec1()?, gradient))
    });
    check(logits, labels)?;
    let (n, classes) = logits.dims2()?;
    with_real!(logits.dtype(), T => {
        let z = view::<T>(logits)?;
        let mut gradient = Vec::with_capacity(n * classes);
        let mut losses = Vec::with_capacity(n);
        for (row, &label) in z.chunks_exact(classes).zip(labels) {
            let max = row.iter().fold(f64::NEG_INFINITY, |max, v| max.max(v.wide()));
            let sum: f64 = row.iter().map(|v| (v.wide() - max).exp()).sum();
            losses.push(sum.ln() + max - row[label as usize].wide());
            for (class, v) in row.iter().enumerate() {
                let target = if class == label as usize { 1.0 } else { 0.0 };
                gradient.push(T::of(weight * ((v.wide() - max).exp() / sum - target)));
            }
        }
        Ok((losses, tensor(gradient, (n, classes))?))
    })
}
