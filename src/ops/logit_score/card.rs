//! Scores of logits on a card. They stay there.

use candle_core::{DType, Tensor};

use super::{FLOOR, Losses, Score};
use crate::Result;
use crate::ops::card::{Call, Card, expect, suffix};

pub fn queue(
    card: &dyn Card,
    logits: &Tensor,
    labels: &[u32],
    target_classes: Option<&[u32]>,
    score: Score,
) -> Result<(Losses, Tensor)> {
    let there = |classes: &[u32]| Tensor::from_slice(classes, classes.len(), card.device());
    let labels = there(labels)?;
    let target_classes = target_classes.map(there).transpose()?;
    let (losses, gradient) = queue_for(card, logits, &labels, target_classes.as_ref(), score)?;
    Ok((Losses::Queued { losses, labels }, gradient))
}

/// The same of labels and target classes that are on the card; the scores are float64 `(N)`.
pub fn queue_for(
    card: &dyn Card,
    logits: &Tensor,
    labels: &Tensor,
    target_classes: Option<&Tensor>,
    score: Score,
) -> Result<(Tensor, Tensor)> {
    let (n, classes) = logits.dims2()?;
    expect::tensor("labels", labels, &[n], DType::U32)?;
    if let Some(target_classes) = target_classes {
        expect::tensor("target classes", target_classes, &[n], DType::U32)?;
    }
    expect::indexable("scores of logits: examples", &[n])?;
    expect::indexable("scores of logits: classes", &[classes])?;
    let values = card.scratch(&[n], DType::F64)?;
    let gradient = card.scratch(&[n, classes], logits.dtype())?;
    card.launch(
        &Call::elements("logit_score", "logit_score", n)
            .of(suffix(logits.dtype())?)
            .tensors([logits, labels])
            .optional(target_classes)
            .ints([n, classes, score as usize])
            .double(FLOOR)
            .tensors([&values, &gradient]),
    )?;
    Ok((values, gradient))
}

#[cfg(test)]
mod tests {
    use super::super::cpu;
    use super::*;
    use crate::ops::card::host::{close, each_type, numbers, within};

    #[test]
    fn scores_and_gradients_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for (n, classes) in [(1, 4), (3, 5), (17, 10), (300, 10), (5, 100)] {
                let mut values = numbers(&[n, classes], 1, 3.0);
                // Equal logits, the largest of them among those.
                values[..classes].fill(0.5);
                values[classes - 1] = -1.0;
                let logits = card.tensor(&values, &[n, classes], dtype);
                let labels: Vec<u32> = (0..n).map(|i| ((i * 7) % classes) as u32).collect();
                let targets: Vec<u32> = (0..n).map(|i| ((i * 3 + 1) % classes) as u32).collect();
                for score in [Score::Logit, Score::Margin, Score::Dlr, Score::TargetedDlr] {
                    for targets in [None, Some(&targets[..])] {
                        if targets.is_none() && score.takes_target() {
                            continue;
                        }
                        let (losses, gradient) =
                            queue(card, &logits, &labels, targets, score).unwrap();
                        let (expected, wanted) =
                            cpu::queue(&card.wide(&logits), &labels, targets, score).unwrap();
                        let [losses, expected] =
                            [losses, expected].map(|losses| losses.values().unwrap());
                        within(&losses, &expected, 1e-12);
                        close(&gradient, &wanted, dtype);
                    }
                }
            }
        });
    }
}
