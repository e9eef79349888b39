//! Softmax cross-entropy: `loss = log sum exp(logits) - sum target logits`, gradient `softmax - target`.

pub(in crate::ops) mod card;
mod cpu;
mod targets;

use candle_core::{Device, Tensor};

use super::card::card_of;
use super::device::ops;
use crate::{Error, Result};
pub use targets::{Second, Targets};

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

    /// The losses, each times `factor`.
    pub fn times(self, factor: f64) -> Result<Self> {
        Ok(match self {
            Self::Known(losses) => Self::Known(losses.iter().map(|loss| factor * loss).collect()),
            Self::Queued { losses, labels } => Self::Queued {
                losses: (losses * factor)?,
                labels,
            },
        })
    }

    /// The losses, float64 `(N)`, where the logits are. Nothing is waited for.
    pub fn values(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Known(losses) => Tensor::from_slice(losses, losses.len(), &Device::Cpu)?,
            Self::Queued { losses, .. } => losses.clone(),
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
    /// The losses of examples and the gradient of their sum with respect to the logits `(N, classes)`, times `weight`,
    /// without waiting for the losses.
    pub fn queue(logits: &Tensor, targets: Targets<'_>, weight: f64) -> Result<(Losses, Tensor)> {
        targets.check(logits.dims2()?.1, logits.dims2()?.0)
    }
}

/// Targets that are on the logits' card already and have been checked there where they come from; see [`Targets`].
#[derive(Clone, Copy)]
pub struct TargetsOnCard<'a> {
    /// u32 `(N)`.
    pub labels: &'a Tensor,
    /// The second labels, u32 `(N)`, and their weights, float64 `(N)`.
    pub second: Option<(&'a Tensor, &'a Tensor)>,
    pub smoothing: f64,
}

/// What [`queue`] computes, of targets that are on the logits' card: the losses, float64 `(N)`, and the gradient.
pub fn queue_for(
    logits: &Tensor,
    targets: TargetsOnCard<'_>,
    weight: f64,
) -> Result<(Tensor, Tensor)> {
    let card =
        card_of(logits)?.ok_or_else(|| Error::failed("labels on a card meet logits elsewhere"))?;
    card::queue_for(&*card, logits, targets, weight)
}

/// Losses of examples that are of their labels' classes and nothing else, and the gradient of their sum with respect to the
/// logits `(N, classes)`, times `weight`.
pub fn forward_backward(
    logits: &Tensor,
    labels: &[u32],
    weight: f64,
) -> Result<(Vec<f64>, Tensor)> {
    let (losses, gradient) = queue(logits, Targets::of(labels), weight)?;
    Ok((losses.read()?, gradient))
}

/// The gradient alone of what [`forward_backward`] computes. Nothing is waited for.
pub fn gradient(logits: &Tensor, labels: &[u32], weight: f64) -> Result<Tensor> {
    Ok(queue(logits, Targets::of(labels), weight)?.1)
}

/// Every example has a label, and every label a logit.
pub(in crate::ops) fn check(logits: &Tensor, labels: &[u32]) -> Result<()> {
    let (n, classes) = logits.dims2()?;
    targets::check_labels(labels, classes, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f64; 8] = [0.3, -1.0, 2.0, 0.1, 1.3, 0.2, -0.7, 0.9];

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_slice(values, (2, 4), &Device::Cpu).unwrap()
    }

    fn all() -> [Targets<'static>; 4] {
        let labels = &[2, 1];
        let second = Some(Second {
            labels: &[0, 1],
            weights: &[0.25, 0.5],
        });
        [(None, 0.0), (None, 0.1), (second, 0.0), (second, 0.1)].map(|(second, smoothing)| {
            Targets {
                labels,
                second,
                smoothing,
            }
        })
    }

    #[test]
    fn losses_are_those_of_the_written_targets() {
        for targets in all() {
            let found = queue(&tensor(&LOGITS), targets, 1.0).unwrap().0;
            for (i, found) in found.read().unwrap().into_iter().enumerate() {
                let row = &LOGITS[4 * i..4 * i + 4];
                let sum: f64 = row.iter().map(|z| z.exp()).sum();
                let share = targets.second.map_or(0.0, |second| second.weights[i]);
                let other = targets.second.map_or(0, |second| second.labels[i] as usize);
                let mut target = [targets.smoothing / 4.0; 4];
                let keep = 1.0 - targets.smoothing;
                target[targets.labels[i] as usize] += keep * (1.0 - share);
                target[other] += keep * share;
                let expected: f64 = row
                    .iter()
                    .zip(target)
                    .map(|(z, t)| t * (sum.ln() - z))
                    .sum();
                assert!((found - expected).abs() < 1e-12, "{targets:?} {i}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_the_losses() {
        for targets in all() {
            let gradient = queue(&tensor(&LOGITS), targets, 0.5).unwrap().1;
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (at, found) in gradient.into_iter().enumerate() {
                let sum = |by: f64| {
                    let mut logits = LOGITS;
                    logits[at] += by;
                    let losses = queue(&tensor(&logits), targets, 1.0).unwrap().0;
                    losses.read().unwrap().iter().sum::<f64>()
                };
                let expected = 0.5 * (sum(1e-6) - sum(-1e-6)) / 2e-6;
                assert!((found - expected).abs() < 1e-8, "{targets:?} {at}");
            }
        }
    }

    #[test]
    fn what_has_no_weight_may_be_infinite() {
        let mut logits = LOGITS;
        logits[1] = f64::NEG_INFINITY;
        let (losses, _) = queue(&tensor(&logits), Targets::of(&[2, 1]), 1.0).unwrap();
        assert!(losses.read().unwrap().iter().all(|loss| loss.is_finite()));
    }

    #[test]
    fn targets_outside_their_ranges_are_refused() {
        let right = Targets::of(&[2, 1]);
        let second = |labels, weights| Targets {
            second: Some(Second { labels, weights }),
            ..right
        };
        let smooth = |smoothing| Targets { smoothing, ..right };
        for (targets, why) in [
            (Targets::of(&[2]), "1 labels for 2 examples"),
            (Targets::of(&[2, 4]), "label 4 does not fit"),
            (smooth(1.0), "a label smoothing of 1"),
            (smooth(f64::NAN), "a label smoothing of NaN"),
            (second(&[0], &[0.5, 0.5]), "1 labels for 2 examples"),
            (second(&[0, 4], &[0.5, 0.5]), "label 4 does not fit"),
            (second(&[0, 1], &[0.5]), "1 weights of second labels"),
            (second(&[0, 1], &[0.5, 1.5]), "a second label of weight 1.5"),
        ] {
            let error = queue(&tensor(&LOGITS), targets, 1.0).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
