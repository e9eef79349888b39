//! Softmax cross-entropy on a card. Losses stay there.

use candle_core::{DType, Tensor};

use super::{Losses, Second, Targets, TargetsOnCard};
use crate::ops::card::{Call, Card, THREADS, constant, expect, suffix};
use crate::{Error, Result};

/// Threads of an example.
const GROUP: usize = constant(include_str!("kernel.cu"), "GROUP");

pub fn queue(
    card: &dyn Card,
    logits: &Tensor,
    targets: Targets<'_>,
    weight: f64,
) -> Result<(Losses, Tensor)> {
    let there = |labels: &[u32]| Tensor::from_slice(labels, labels.len(), card.device());
    let labels = there(targets.labels)?;
    let second = match targets.second {
        None => None,
        Some(Second { labels, weights }) => {
            let weights = Tensor::from_slice(weights, weights.len(), card.device())?;
            Some((there(labels)?, weights))
        }
    };
    let on_card = TargetsOnCard {
        labels: &labels,
        second: second.as_ref().map(|(labels, weights)| (labels, weights)),
        smoothing: targets.smoothing,
    };
    let (losses, gradient) = queue_for(card, logits, on_card, weight)?;
    Ok((Losses::Queued { losses, labels }, gradient))
}

/// The same for targets that are on the card; the losses are float64 `(N)`.
pub fn queue_for(
    card: &dyn Card,
    logits: &Tensor,
    targets: TargetsOnCard<'_>,
    weight: f64,
) -> Result<(Tensor, Tensor)> {
    let (n, classes) = logits.dims2()?;
    expect::tensor("labels", targets.labels, &[n], DType::U32)?;
    if let Some((labels, weights)) = targets.second {
        expect::tensor("second labels", labels, &[n], DType::U32)?;
        expect::tensor("weights of second labels", weights, &[n], DType::F64)?;
    }
    expect::indexable("cross-entropy: examples", &[n])?;
    expect::indexable("cross-entropy: classes", &[classes])?;
    if n == 0 || classes == 0 {
        return Err(Error::failed(format!(
            "cross-entropy of {n} examples of {classes} classes"
        )));
    }
    let losses = card.scratch(&[n], DType::F64)?;
    let gradient = card.scratch(&[n, classes], logits.dtype())?;
    let blocks = n.div_ceil(THREADS as usize / GROUP) as u32;
    card.launch(
        &Call::blocks("cross_entropy", "cross_entropy", [blocks, 1, 1])
            .of(suffix(logits.dtype())?)
            .tensors([logits, targets.labels])
            .optional(targets.second.map(|(labels, _)| labels))
            .optional(targets.second.map(|(_, weights)| weights))
            .ints([n, classes])
            .doubles([targets.smoothing, weight])
            .tensors([&losses, &gradient]),
    )?;
    Ok((losses, gradient))
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers, within};

    fn labels(n: usize, classes: usize) -> Vec<u32> {
        (0..n).map(|i| ((i * 7 + i / 3) % classes) as u32).collect()
    }

    #[test]
    fn losses_and_gradients_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for (n, classes) in [(1, 1), (3, 2), (17, 10), (8, 33), (9, 100), (5, 1000)] {
                // Logits far from zero: without the shift by the largest the exponentials overflow.
                let values: Vec<f32> = numbers(&[n, classes], 1, 200.0)
                    .iter()
                    .map(|v| v + 800.0)
                    .collect();
                let labels = labels(n, classes);
                let others: Vec<u32> = labels.iter().rev().copied().collect();
                let weights: Vec<f64> = (0..n).map(|i| (i % 5) as f64 / 4.0).collect();
                let second = Some(Second {
                    labels: &others,
                    weights: &weights,
                });
                for logits in [values, numbers(&[n, classes], 2, 3.0)] {
                    let logits = card.tensor(&logits, &[n, classes], dtype);
                    for (second, smoothing) in
                        [(None, 0.0), (None, 0.1), (second, 0.0), (second, 0.1)]
                    {
                        let targets = Targets {
                            labels: &labels,
                            second,
                            smoothing,
                        };
                        let (losses, gradient) = queue(card, &logits, targets, 0.25).unwrap();
                        let (expected, wanted) =
                            cpu::queue(&card.wide(&logits), targets, 0.25).unwrap();
                        let [losses, expected] =
                            [losses, expected].map(|losses| losses.values().unwrap());
                        assert_eq!(losses.dtype(), DType::F64);
                        within(&losses, &expected, 1e-12);
                        close(&gradient, &wanted, dtype);
                    }
                }
            }
        });
    }

    #[test]
    fn what_is_no_number_gives_no_finite_loss() {
        each_type(|card, dtype| {
            for bad in [f32::NAN, f32::INFINITY] {
                let mut values = numbers(&[3, 40], 3, 1.0);
                values[40 + 7] = bad;
                let logits = card.tensor(&values, &[3, 40], dtype);
                for smoothing in [0.0, 0.1] {
                    let targets = Targets {
                        smoothing,
                        ..Targets::of(&[0, 7, 39])
                    };
                    let (losses, _) = queue(card, &logits, targets, 1.0).unwrap();
                    let losses = losses.read().unwrap();
                    let finite: Vec<bool> = losses.iter().map(|loss| loss.is_finite()).collect();
                    assert_eq!(finite, [true, false, true]);
                }
            }
        });
    }

    #[test]
    fn labels_of_another_number_are_refused() {
        each_type(|card, dtype| {
            let logits = card.tensor(&numbers(&[3, 4], 4, 1.0), &[3, 4], dtype);
            assert!(queue(card, &logits, Targets::of(&[0, 1]), 1.0).is_err());
        });
    }
}
