//! What an epoch of training adds up: losses, their parts and right predictions.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Evaluated;
use crate::Result;
use crate::attacks::Checks;
use crate::ops::running_sums::{RunningSums, Sums};

/// The sums of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochSums {
    #[serde(flatten)]
    pub all: Sums,
    /// Of the parts of the examples' losses, by name, where the objective has several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, f64>,
}

/// The sums of an epoch under way, which on a card nothing waits for until they are read.
pub struct RunningMetrics {
    sums: RunningSums,
    /// The sum of each part, float64 `()`, where the network computes.
    parts: BTreeMap<String, Tensor>,
    /// Those of the images trained on since the last reading.
    checks: Checks,
}

impl RunningMetrics {
    /// Goes on from `sums`, for a network on `device`.
    pub fn new(sums: &EpochSums, device: &Device) -> Result<Self> {
        let parts = sums.parts.iter();
        let parts = parts.map(|(name, &sum)| Ok((name.clone(), Tensor::new(sum, device)?)));
        Ok(Self {
            sums: RunningSums::new(sums.all, device)?,
            parts: parts.collect::<Result<_>>()?,
            checks: Checks::default(),
        })
    }

    /// Adds what was found on a batch, which has the number `batch` in the epoch (from 0). A loss that is not finite adds
    /// nothing.
    pub fn add(&mut self, found: &mut Evaluated, labels: &[u32], batch: u64) -> Result<()> {
        self.checks.join(std::mem::take(&mut found.checks));
        for (name, sum) in &found.parts {
            let sum = match self.parts.get(*name) {
                Some(earlier) => (earlier + sum)?,
                None => sum.clone(),
            };
            self.parts.insert(name.to_string(), sum);
        }
        self.sums
            .add(&found.logits, labels, &found.losses, batch + 1)
    }

    /// The sums, and the number from 0 of the first batch whose loss was not finite, where that is not known otherwise. On a
    /// card this waits for all that was started.
    ///
    /// # Errors
    /// An attack left the pixel range or its ball.
    pub fn read(&mut self) -> Result<(EpochSums, Option<u64>)> {
        let (all, bad) = self.sums.read()?;
        if let Some(step) = bad {
            // Images made by gradients that are no numbers say nothing of their attack.
            return Ok((EpochSums::default(), Some(step - 1)));
        }
        std::mem::take(&mut self.checks).resolve()?;
        let parts = self.parts.iter();
        let parts = parts.map(|(name, sum)| Ok((name.clone(), sum.to_scalar()?)));
        let parts = parts.collect::<Result<_>>()?;
        Ok((EpochSums { all, parts }, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Gradients;
    use crate::ops::cross_entropy::{self, Targets};

    #[test]
    fn sums_that_are_taken_up_are_those_that_were_left() {
        let add = |metrics: &mut RunningMetrics, batch: u64| {
            let logits = [[0.3f32, -1.7], [0.1, 0.2], [1.0 / (3 + batch) as f32, 0.9]];
            let logits = Tensor::new(&logits, &Device::Cpu).unwrap();
            let (losses, _) = cross_entropy::queue(&logits, Targets::of(&[0, 1, 1]), 1.0).unwrap();
            let mut found = Evaluated {
                gradients: Gradients::default(),
                logits,
                parts: vec![("whole", losses.sum().unwrap())],
                losses,
                checks: Checks::default(),
            };
            metrics.add(&mut found, &[0, 1, 1], batch).unwrap();
        };
        let mut whole = RunningMetrics::new(&EpochSums::default(), &Device::Cpu).unwrap();
        let mut left = EpochSums::default();
        for batch in 0..3 {
            add(&mut whole, batch);
            let mut taken_up = RunningMetrics::new(&left, &Device::Cpu).unwrap();
            add(&mut taken_up, batch);
            left = taken_up.read().unwrap().0;
        }
        assert_eq!(whole.read().unwrap(), (left.clone(), None));
        assert!((left.parts["whole"] - left.all.loss).abs() < 1e-12);
    }
}
