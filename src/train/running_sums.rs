//! What an epoch of training adds up: losses and right predictions.
//!
//! On a card nothing is waited for: the sums stay there until they are read, and a loss that is not finite leaves a mark
//! beside them. On the CPU every step's loss is known at once.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Evaluated;
use crate::Result;
use crate::attacks::correct;
#[cfg(any(feature = "cuda", test))]
use crate::ops::cuda;
use crate::ops::place::{on_card, runs_on_card};

/// The sums at some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Of the examples' losses.
    pub loss: f64,
    /// Examples whose largest logit is their label's.
    pub correct: u64,
    pub examples: u64,
    /// Of the parts of the examples' losses, by name, where the objective has several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, f64>,
}

/// The sums of the epoch under way.
pub struct RunningSums {
    sums: Sums,
    /// Loss, right predictions, examples, and the number from 1 of the first batch whose loss was not finite, or 0.
    on_card: Option<Tensor>,
    /// The sum of each part, float64 `()`, where the network computes.
    parts: BTreeMap<String, Tensor>,
}

impl RunningSums {
    /// Goes on from `sums`, for a network on `device`.
    pub fn new(sums: Sums, device: &Device) -> Result<Self> {
        let begin = [sums.loss, sums.correct as f64, sums.examples as f64, 0.0];
        let on_card = match runs_on_card(device) {
            true => Some(Tensor::from_slice(&begin, 4, device)?),
            false => None,
        };
        let parts = sums.parts.iter();
        let parts = parts.map(|(name, &sum)| Ok((name.clone(), Tensor::new(sum, device)?)));
        Ok(Self {
            parts: parts.collect::<Result<_>>()?,
            sums,
            on_card,
        })
    }

    /// Adds what was found on a batch, which has the number `batch` in the epoch (from 0). Returns its mean loss where that is
    /// known at once; one that is not finite is not added.
    pub fn add(&mut self, found: &Evaluated, labels: &[u32], batch: u64) -> Result<Option<f64>> {
        for (name, losses) in &found.parts {
            let mut sum = losses.sum_all()?;
            if let Some(earlier) = self.parts.get(*name) {
                sum = (earlier + sum)?;
            }
            self.parts.insert(name.to_string(), sum);
        }
        let Evaluated { logits, losses, .. } = found;
        on_card!(logits, card => {
            let totals = self.on_card.as_ref().ok_or_else(|| {
                crate::Error::failed("logits of a card met the sums of an epoch on the CPU")
            })?;
            let labels = Tensor::from_slice(labels, labels.len(), card.device())?;
            cuda::tally::tally(card, logits, &labels, losses, totals, batch + 1)?;
            Ok(None)
        });
        let _ = batch;
        let sum: f64 = losses.to_vec1::<f64>()?.iter().sum();
        let mean = sum / labels.len().max(1) as f64;
        if mean.is_finite() {
            self.sums.loss += sum;
            self.sums.correct += correct(logits, labels)?;
            self.sums.examples += labels.len() as u64;
        }
        Ok(Some(mean))
    }

    /// The sums, and the number from 0 of the first batch whose loss was not finite, where that is not known otherwise. On a
    /// card this waits for all that was started.
    pub fn read(&mut self) -> Result<(Sums, Option<u64>)> {
        let mut bad = None;
        if let Some(totals) = &self.on_card {
            let values = totals.to_vec1::<f64>()?;
            self.sums.loss = values[0];
            self.sums.correct = values[1] as u64;
            self.sums.examples = values[2] as u64;
            bad = (values[3] > 0.0).then_some(values[3] as u64 - 1);
        }
        for (name, sum) in &self.parts {
            let sum = sum.to_scalar::<f64>()?;
            self.sums.parts.insert(name.clone(), sum);
        }
        Ok((self.sums.clone(), bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Gradients;
    use crate::ops::cross_entropy::losses_and_gradient;
    use crate::ops::cuda::host::on_host;

    const LABELS: [u32; 3] = [0, 1, 1];

    /// Adds a batch with these logits whose loss has its whole as one part.
    fn add(sums: &mut RunningSums, logits: [[f32; 2]; 3], batch: u64) -> Option<f64> {
        let logits = Tensor::new(&logits, &Device::Cpu).unwrap();
        let (losses, _) = losses_and_gradient(&logits, &LABELS, 1.0).unwrap();
        let found = Evaluated {
            gradients: Gradients::default(),
            logits,
            parts: vec![("whole", losses.clone())],
            losses,
        };
        sums.add(&found, &LABELS, batch).unwrap()
    }

    #[test]
    fn a_card_adds_up_what_the_cpu_does() {
        let good = [[2.0, -1.0], [0.5, 0.25], [-1.0, 1.0]];
        let mut cpu = RunningSums::new(Sums::default(), &Device::Cpu).unwrap();
        assert!(add(&mut cpu, good, 0).is_some());
        let (expected, bad) = cpu.read().unwrap();
        assert_eq!((expected.correct, expected.examples, bad), (2, 3, None));
        assert_eq!(expected.parts["whole"], expected.loss);
        on_host(|| {
            let mut card = RunningSums::new(Sums::default(), &Device::Cpu).unwrap();
            assert_eq!(add(&mut card, good, 0), None);
            let (found, bad) = card.read().unwrap();
            assert!((found.loss - expected.loss).abs() < 1e-6 && bad.is_none());
            assert!((found.parts["whole"] - expected.loss).abs() < 1e-6);
            assert_eq!((found.correct, found.examples), (2, 3));
            for batch in 1..3 {
                add(&mut card, [[f32::INFINITY, 0.0]; 3], batch);
            }
            add(&mut card, good, 3);
            let (after, bad) = card.read().unwrap();
            assert_eq!(
                (after.loss, after.correct, after.examples),
                (found.loss, 2, 3)
            );
            assert_eq!(bad, Some(1), "the first bad step ends the sums");
        });
    }

    #[test]
    fn sums_that_are_taken_up_are_those_that_were_left() {
        let batches = [
            [[0.3, -1.7], [0.1, 0.2], [1.0, 0.9]],
            [[0.7, 0.1]; 3],
            [[-2.0, 0.3]; 3],
        ];
        let mut whole = RunningSums::new(Sums::default(), &Device::Cpu).unwrap();
        let mut left = Sums::default();
        for (batch, logits) in batches.into_iter().enumerate() {
            add(&mut whole, logits, batch as u64);
            let mut taken_up = RunningSums::new(left, &Device::Cpu).unwrap();
            add(&mut taken_up, logits, batch as u64);
            left = taken_up.read().unwrap().0;
        }
        assert_eq!(whole.read().unwrap().0, left);
    }
}
