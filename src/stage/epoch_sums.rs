//! What an epoch of training adds up: losses and right predictions.
//!
//! On a card nothing is waited for: the sums stay there until they are read, and a loss that is not finite leaves a mark
//! beside them. On the CPU every step's loss is known at once.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::attacks::correct;
use crate::nn::loss::{Reduction, cross_entropy};
use crate::ops::place::{on_card, runs_on_card};
#[cfg(any(feature = "cuda", test))]
use crate::ops::{cross_entropy as op, cuda};

/// The sums at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    /// Of the examples' losses.
    pub loss: f64,
    /// Examples whose largest logit is their label's.
    pub correct: u64,
    pub examples: u64,
}

/// How a step's backward pass begins.
pub(super) struct Start {
    /// The gradient of the mean loss with respect to the logits.
    pub gradient: Tensor,
    /// The mean loss, where it is known already.
    pub loss: Option<f64>,
}

/// The sums of the epoch that goes on.
pub(super) struct EpochSums {
    sums: Sums,
    /// Loss, right predictions, examples, and the first step whose loss was not finite, or 0.
    on_card: Option<Tensor>,
}

impl EpochSums {
    /// Goes on from `sums`.
    pub fn new(sums: Sums, device: &Device) -> Result<Self> {
        let begin = [sums.loss, sums.correct as f64, sums.examples as f64, 0.0];
        let on_card = match runs_on_card(device) {
            true => Some(Tensor::from_slice(&begin, 4, device)?),
            false => None,
        };
        Ok(Self { sums, on_card })
    }

    /// Adds a batch, the one of the step with this number (from 1).
    pub fn add(&mut self, logits: &Tensor, labels: &[u32], step: u64) -> Result<Start> {
        on_card!(logits, card => self.add_on_card(card, logits, labels, step));
        let _ = step;
        let loss = cross_entropy(logits, labels, Reduction::Mean)?;
        let mean = loss.mean();
        if mean.is_finite() {
            self.sums.loss += loss.per_example.iter().sum::<f64>();
            self.sums.correct += correct(logits, labels)?;
            self.sums.examples += labels.len() as u64;
        }
        Ok(Start {
            gradient: loss.gradient,
            loss: Some(mean),
        })
    }

    #[cfg(any(feature = "cuda", test))]
    fn add_on_card(
        &mut self,
        card: &dyn cuda::Card,
        logits: &Tensor,
        labels: &[u32],
        step: u64,
    ) -> Result<Start> {
        let totals = self.on_card.as_ref().ok_or_else(|| {
            crate::Error::failed("logits of a card met the sums of an epoch on the CPU")
        })?;
        let weight = 1.0 / labels.len().max(1) as f64;
        let labels = op::on_the_card(card, logits, labels)?;
        let (losses, gradient) =
            cuda::cross_entropy::forward_backward(card, logits, &labels, weight)?;
        cuda::tally::tally(card, logits, &labels, &losses, totals, step)?;
        Ok(Start {
            gradient,
            loss: None,
        })
    }

    /// The sums, and the first step whose loss was not finite where it is not known otherwise. On a card this waits for
    /// all that was started.
    pub fn read(&mut self) -> Result<(Sums, Option<u64>)> {
        let mut bad = None;
        if let Some(totals) = &self.on_card {
            let values = totals.to_vec1::<f64>()?;
            self.sums = Sums {
                loss: values[0],
                correct: values[1] as u64,
                examples: values[2] as u64,
            };
            bad = (values[3] > 0.0).then_some(values[3] as u64);
        }
        Ok((self.sums, bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cuda::host::on_host;

    fn logits(values: [[f32; 2]; 3]) -> Tensor {
        Tensor::new(&values, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_card_adds_up_what_the_cpu_does() {
        let good = logits([[2.0, -1.0], [0.5, 0.25], [-1.0, 1.0]]);
        let labels = [0, 1, 1];
        let mut cpu = EpochSums::new(Sums::default(), &Device::Cpu).unwrap();
        let start = cpu.add(&good, &labels, 1).unwrap();
        let (expected, bad) = cpu.read().unwrap();
        assert_eq!((expected.correct, expected.examples, bad), (2, 3, None));
        assert!(start.loss.is_some());
        on_host(|| {
            let mut card = EpochSums::new(Sums::default(), &Device::Cpu).unwrap();
            card.add(&good, &labels, 1).unwrap();
            let (found, bad) = card.read().unwrap();
            assert!((found.loss - expected.loss).abs() < 1e-6 && bad.is_none());
            assert_eq!((found.correct, found.examples), (2, 3));
            let infinite = logits([[f32::INFINITY, 0.0], [0.0, 0.0], [0.0, 0.0]]);
            for step in 2..4 {
                card.add(&infinite, &[1, 0, 0], step).unwrap();
            }
            card.add(&good, &labels, 4).unwrap();
            assert_eq!(
                card.read().unwrap(),
                (found, Some(2)),
                "the first bad step ends the sums"
            );
        });
    }
}
