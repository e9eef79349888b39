//! What training adds up over its steps: losses and right predictions.
//!
//! On a card nothing is waited for: the sums stay there until they are read, and a loss that is not finite leaves a mark
//! beside them. On the CPU every step's loss is known at once.

mod card;
mod cpu;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::card::card_at;
use super::cross_entropy::{Losses, check};
use super::device::is_queue;
use super::real::view;
use crate::{Error, Result, with_real};

/// The sums at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Of the examples' losses.
    pub loss: f64,
    /// Examples whose largest logit is their label's.
    pub correct: u64,
    pub examples: u64,
}

/// Sums under way.
pub struct RunningSums {
    sums: Sums,
    /// On a card, float64 `(4)`: loss, right predictions, examples, and the first step whose loss was not finite, or 0.
    queued: Option<Tensor>,
}

impl RunningSums {
    /// Goes on from `sums`.
    pub fn new(sums: Sums, device: &Device) -> Result<Self> {
        let begin = [sums.loss, sums.correct as f64, sums.examples as f64, 0.0];
        let queued = match is_queue(device) {
            true => Some(Tensor::from_slice(&begin, 4, device)?),
            false => None,
        };
        Ok(Self { sums, queued })
    }

    /// Adds a batch, that of the step with this number (from 1). One whose losses are not finite adds nothing; on a card
    /// neither does any after it.
    pub fn add(
        &mut self,
        logits: &Tensor,
        labels: &[u32],
        losses: &Losses,
        step: u64,
    ) -> Result<()> {
        check(logits, labels)?;
        match (losses, &self.queued) {
            (Losses::Known(losses), None) => cpu::add(&mut self.sums, logits, labels, losses),
            (Losses::Queued { losses, labels }, Some(totals)) => {
                let card = card_at(totals.device())?.ok_or_else(apart)?;
                card::add(&*card, totals, logits, labels, losses, step)
            }
            _ => Err(apart()),
        }
    }

    /// The sums, and the first step whose loss was not finite where it is not known otherwise. On a card this waits for
    /// all that was started.
    pub fn read(&mut self) -> Result<(Sums, Option<u64>)> {
        let mut bad = None;
        if let Some(totals) = &self.queued {
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

fn apart() -> Error {
    Error::failed("losses and their running sums lie on different devices")
}

/// The class with the largest logit of each row; the first of equal ones.
pub fn predictions(logits: &Tensor) -> Result<Vec<u32>> {
    let (_, classes) = logits.dims2()?;
    let logits = &logits.to_device(&Device::Cpu)?;
    with_real!(logits.dtype(), T => {
        let logits = view::<T>(logits)?;
        Ok(logits
            .chunks_exact(classes)
            .map(|row| {
                let mut best = 0;
                for (class, value) in row.iter().enumerate() {
                    if *value > row[best] {
                        best = class;
                    }
                }
                best as u32
            })
            .collect())
    })
}

/// How many rows of `logits` have their largest logit at the label.
pub fn correct(logits: &Tensor, labels: &[u32]) -> Result<u64> {
    let predictions = predictions(logits)?;
    Ok(predictions
        .iter()
        .zip(labels)
        .filter(|(a, b)| a == b)
        .count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::card::host::on_host;
    use crate::ops::cross_entropy::{self, Targets};

    /// Adds the cross-entropies of a batch; whether they are known at once.
    fn add(sums: &mut RunningSums, logits: &Tensor, labels: &[u32], step: u64) -> bool {
        let (losses, _) = cross_entropy::queue(logits, Targets::of(labels), 1.0).unwrap();
        sums.add(logits, labels, &losses, step).unwrap();
        losses.known_mean().is_some()
    }

    fn logits(values: [[f32; 2]; 3]) -> Tensor {
        Tensor::new(&values, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_card_adds_up_what_the_cpu_does() {
        let good = logits([[2.0, -1.0], [0.5, 0.25], [-1.0, 1.0]]);
        let labels = [0, 1, 1];
        let mut cpu = RunningSums::new(Sums::default(), &Device::Cpu).unwrap();
        assert!(add(&mut cpu, &good, &labels, 1));
        let (expected, bad) = cpu.read().unwrap();
        assert_eq!((expected.correct, expected.examples, bad), (2, 3, None));
        on_host(|| {
            let mut card = RunningSums::new(Sums::default(), &Device::Cpu).unwrap();
            assert!(!add(&mut card, &good, &labels, 1));
            let (found, bad) = card.read().unwrap();
            assert!((found.loss - expected.loss).abs() < 1e-6 && bad.is_none());
            assert_eq!((found.correct, found.examples), (2, 3));
            let infinite = logits([[f32::INFINITY, 0.0], [0.0, 0.0], [0.0, 0.0]]);
            for step in 2..4 {
                add(&mut card, &infinite, &[1, 0, 0], step);
            }
            add(&mut card, &good, &labels, 4);
            assert_eq!(
                card.read().unwrap(),
                (found, Some(2)),
                "the first bad step ends the sums"
            );
        });
    }
}
