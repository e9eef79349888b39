//! Softmax cross-entropy: `loss = log sum exp(logits) - logits[label]`, gradient `softmax - onehot`.

pub(in crate::ops) mod card;
mod cpu;

use candle_core::{Device, Tensor};

use super::card::card_of;
use super::device::ops;
use crate::{Error, Result};

/// The losses of a batch's examples.
#[derive(Clone, Debug)]
pub enum Losses {
    Known(Vec<f64>),
    /// float64 `(N)` in a card's queue: reading them waits for all that was started.
    Queued {
        losses: Tensor,
        /// The labels beside them, u32 `(N)`.
        labels: Tensor,
    },
}

impl Losses {
    /// The losses, waited for where they are not known yet.
    pub fn read(self) -> Result<Vec<f64>> {
        match self {
            Self::Known(losses) => Ok(losses),
            Self::Queued { losses, .. } => Ok(losses.to_vec1()?),
        }
    }

    /// The losses with further ones added, float64 `(N)` where the logits are. Nothing is waited for that is queued.
    pub fn plus(self, further: &Tensor) -> Result<Self> {
        Ok(match self {
            Self::Known(losses) => {
                let further = further.to_vec1::<f64>()?;
                Self::Known(losses.iter().zip(further).map(|(a, b)| a + b).collect())
            }
            Self::Queued { losses, labels } => Self::Queued {
                losses: (losses + further)?,
                labels,
            },
        })
    }

    /// Their sum, float64 `()`, where the logits are. Nothing is waited for.
    pub fn sum(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Known(losses) => Tensor::new(losses.iter().sum::<f64>(), &Device::Cpu)?,
            Self::Queued { losses, .. } => losses.sum_all()?,
        })
    }

    /// Their mean, where they are known.
    pub fn known_mean(&self) -> Option<f64> {
        match self {
            Self::Known(losses) => Some(losses.iter().sum::<f64>() / losses.len().max(1) as f64),
            Self::Queued { .. } => None,
        }
    }
}

ops! {
    /// What [`forward_backward`] computes, without waiting for the losses.
    pub fn queue(logits: &Tensor, labels: &[u32], weight: f64) -> Result<(Losses, Tensor)> {
        check(logits, labels)
    }
}

/// What [`queue`] computes of labels that are on the logits' card already, u32 `(N)`; they have been checked.
pub fn queue_for(logits: &Tensor, labels: &Tensor, weight: f64) -> Result<(Tensor, Tensor)> {
    let card =
        card_of(logits)?.ok_or_else(|| Error::failed("labels on a card meet logits elsewhere"))?;
    card::queue_for(&*card, logits, labels, weight)
}

/// Losses of each example and the gradient of their sum with respect to the logits `(N, classes)`, times `weight`.
pub fn forward_backward(
    logits: &Tensor,
    labels: &[u32],
    weight: f64,
) -> Result<(Vec<f64>, Tensor)> {
    let (losses, gradient) = queue(logits, labels, weight)?;
    Ok((losses.read()?, gradient))
}

/// The gradient alone of what [`forward_backward`] computes. Nothing is waited for.
pub fn gradient(logits: &Tensor, labels: &[u32], weight: f64) -> Result<Tensor> {
    Ok(queue(logits, labels, weight)?.1)
}

/// Every example has a label, and every label a logit.
pub(in crate::ops) fn check(logits: &Tensor, labels: &[u32]) -> Result<()> {
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
