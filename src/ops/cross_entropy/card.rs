//! Softmax cross-entropy on a card. Losses stay there.

use candle_core::{DType, Tensor};

use super::Losses;
use crate::ops::card::{Call, Card, THREADS, constant, expect, suffix};
use crate::{Error, Result};

/// Threads of an example.
const GROUP: usize = constant(include_str!("kernel.cu"), "GROUP");

pub fn queue(
    card: &dyn Card,
    logits: &Tensor,
    labels: &[u32],
    weight: f64,
) -> Result<(Losses, Tensor)> {
    let labels = Tensor::from_slice(labels, labels.len(), card.device())?;
    let (losses, gradient) = queue_for(card, logits, &labels, weight)?;
    Ok((Losses::Queued { losses, labels }, gradient))
}

/// With labels, u32 `(N)`, that were checked where they came from: each is a class.
/// The same for labels that are on the card, u32 `(N)`; the losses are float64 `(N)`.
pub fn queue_for(
    card: &dyn Card,
    logits: &Tensor,
    labels: &Tensor,
    weight: f64,
) -> Result<(Tensor, Tensor)> {
    let (n, classes) = logits.dims2()?;
    expect::tensor("labels", labels, &[n], DType::U32)?;
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
            .tensor(logits)
            .tensor(labels)
            .int(n)
            .int(classes)
            .double(weight)
            .tensor(&losses)
            .tensor(&gradient),
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
                let on_card = Tensor::from_slice(&labels, n, card.device()).unwrap();
                for logits in [values, numbers(&[n, classes], 2, 3.0)] {
                    let logits = card.tensor(&logits, &[n, classes], dtype);
                    let (losses, gradient) = queue_for(card, &logits, &on_card, 0.25).unwrap();
                    let (expected, wanted) =
                        cpu::queue(&card.wide(&logits), &labels, 0.25).unwrap();
                    let expected = Tensor::new(expected.read().unwrap(), card.device()).unwrap();
                    assert_eq!(losses.dtype(), DType::F64);
                    within(&losses, &expected, 1e-12);
                    close(&gradient, &wanted, dtype);
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
                let labels = Tensor::new(&[0u32, 7, 39], card.device()).unwrap();
                let (losses, _) = queue_for(card, &logits, &labels, 1.0).unwrap();
                let finite: Vec<bool> = losses
                    .to_vec1::<f64>()
                    .unwrap()
                    .iter()
                    .map(|loss| loss.is_finite())
                    .collect();
                assert_eq!(finite, [true, false, true]);
            }
        });
    }

    #[test]
    fn labels_of_another_number_are_refused() {
        each_type(|card, dtype| {
            let logits = card.tensor(&numbers(&[3, 4], 4, 1.0), &[3, 4], dtype);
            let labels = Tensor::new(&[0u32, 1], card.device()).unwrap();
            assert!(queue_for(card, &logits, &labels, 1.0).is_err());
        });
    }
}
