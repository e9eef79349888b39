//! What an epoch of training adds up: the cross-entropy and right predictions.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::ops::cross_entropy;
use crate::ops::running_sums::RunningSums;

pub(super) use crate::ops::running_sums::Sums;

/// How a step's backward pass begins.
pub(super) struct Start {
    /// The gradient of the mean loss with respect to the logits.
    pub gradient: Tensor,
    /// The mean loss, where it is known already.
    pub loss: Option<f64>,
}

/// The sums of the epoch that goes on.
pub(super) struct EpochSums(RunningSums);

impl EpochSums {
    /// Goes on from `sums`.
    pub fn new(sums: Sums, device: &Device) -> Result<Self> {
        Ok(Self(RunningSums::new(sums, device)?))
    }

    /// Adds a batch, the one of the step with this number (from 1).
    pub fn add(&mut self, logits: &Tensor, labels: &[u32], step: u64) -> Result<Start> {
        let weight = 1.0 / labels.len().max(1) as f64;
        let (losses, gradient) = cross_entropy::queue(logits, labels, weight)?;
        self.0.add(logits, labels, &losses, step)?;
        Ok(Start {
            gradient,
            loss: losses.known_mean(),
        })
    }

    /// See [`RunningSums::read`].
    pub fn read(&mut self) -> Result<(Sums, Option<u64>)> {
        self.0.read()
    }
}
