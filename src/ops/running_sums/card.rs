//! Running sums on a card, so that no step waits for its loss.

use candle_core::{DType, Tensor};

use crate::ops::card::{Call, Card, constant, expect, suffix};
use crate::{Error, Result};

/// Threads of the one block.
const BLOCK: u32 = constant(include_str!("kernel.cu"), "BLOCK") as u32;
/// Classes up to which one thread looks at an example.
const FEW_CLASSES: usize = 16;
/// Threads of an example beyond that.
const GROUP: usize = 32;

/// Adds a batch to `totals`: the sum of losses, float64 `(N)`, the number of right predictions and that of examples. Where the
/// losses are not finite the step's number becomes the mark; neither this batch nor any after it is added.
pub fn add(
    card: &dyn Card,
    totals: &Tensor,
    logits: &Tensor,
    labels: &Tensor,
    losses: &Tensor,
    step: u64,
) -> Result<()> {
    let (n, classes) = logits.dims2()?;
    expect::tensor("labels", labels, &[n], DType::U32)?;
    expect::tensor("losses", losses, &[n], DType::F64)?;
    expect::tensor("totals", totals, &[4], DType::F64)?;
    expect::indexable("running sums of examples", &[n])?;
    expect::indexable("running sums of classes", &[classes])?;
    if classes == 0 || step == 0 {
        return Err(Error::failed(format!(
            "running sums of {classes} classes at step {step}: both are at least 1"
        )));
    }
    let group = if classes <= FEW_CLASSES { 1 } else { GROUP };
    card.launch(
        &Call::blocks("running_sums", "running_sums", [1; 3])
            .threads(BLOCK)
            .of(suffix(logits.dtype())?)
            .tensors([logits, labels, losses])
            .ints([n, classes, group])
            .word(step)
            .tensor(totals),
    )
}

#[cfg(test)]
mod tests {
    use super::super::correct;
    use super::*;
    use crate::ops::card::host::{each_type, numbers};

    fn totals(tensor: &Tensor) -> Vec<f64> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn batches_are_added_up() {
        each_type(|card, dtype| {
            let account = Tensor::zeros(4, DType::F64, card.device()).unwrap();
            let mut expected = [0.0; 4];
            for (step, (n, classes)) in [(1, 1), (7, 2), (600, 10), (33, 16), (40, 17), (19, 1000)]
                .into_iter()
                .enumerate()
            {
                // Few different values: many logits are equal.
                let values: Vec<f32> = numbers(&[n, classes], step as u64, 2.0)
                    .iter()
                    .map(|v| v.round())
                    .collect();
                let logits = card.tensor(&values, &[n, classes], dtype);
                let labels: Vec<u32> = match classes {
                    // Most labels would be wrong: half of them are the first largest logit.
                    1000 => values
                        .chunks(classes)
                        .enumerate()
                        .map(|(i, row)| {
                            row.iter().position(|v| *v == 2.0).unwrap_or(0) as u32 + (i % 2) as u32
                        })
                        .collect(),
                    _ => (0..n).map(|i| (i * 5 % classes) as u32).collect(),
                };
                let losses: Vec<f64> = (0..n).map(|i| i as f64 / 7.0).collect();
                add(
                    card,
                    &account,
                    &logits,
                    &Tensor::from_slice(&labels, n, card.device()).unwrap(),
                    &Tensor::from_slice(&losses, n, card.device()).unwrap(),
                    step as u64 + 1,
                )
                .unwrap();
                expected[0] += losses.iter().sum::<f64>();
                expected[1] += correct(&card.wide(&logits), &labels).unwrap() as f64;
                expected[2] += n as f64;
                let found = totals(&account);
                assert!((found[0] - expected[0]).abs() <= 1e-12 * expected[0]);
                assert_eq!(found[1..], expected[1..]);
            }
            assert!(expected[1] > 50.0 && expected[1] < expected[2] / 2.0);
        });
    }

    #[test]
    fn the_first_loss_that_is_not_finite_leaves_its_mark() {
        each_type(|card, dtype| {
            let account = Tensor::zeros(4, DType::F64, card.device()).unwrap();
            let logits = card.tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2], dtype);
            let labels = Tensor::new(&[0u32, 0], card.device()).unwrap();
            for (step, losses, expected) in [
                (1, [0.5, 1.0], [1.5, 1.0, 2.0, 0.0]),
                (2, [0.5, f64::NAN], [1.5, 1.0, 2.0, 2.0]),
                (3, [0.5, 1.0], [1.5, 1.0, 2.0, 2.0]),
                (4, [f64::INFINITY, 1.0], [1.5, 1.0, 2.0, 2.0]),
            ] {
                let losses = Tensor::new(&losses, card.device()).unwrap();
                add(card, &account, &logits, &labels, &losses, step).unwrap();
                assert_eq!(totals(&account), expected, "step {step}");
            }
            let account = Tensor::zeros(4, DType::F64, card.device()).unwrap();
            let losses = Tensor::new(&[f64::NEG_INFINITY, 1.0], card.device()).unwrap();
            add(card, &account, &logits, &labels, &losses, 9).unwrap();
            assert_eq!(totals(&account), [0.0, 0.0, 0.0, 9.0]);
        });
    }
}
