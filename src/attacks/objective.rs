//! What an attack ascends: a function of an example's logits, with its gradient.

use candle_core::{Device, Tensor};

use crate::nn::loss::{Loss, Reduction, cross_entropy};
use crate::nn::replay::LogitLoss;
use crate::ops::Real;
use crate::ops::cross_entropy::gradient as cross_entropy_gradient_of;
use crate::ops::logit_score::{self, Score, descending};
use crate::ops::real::view;
use crate::{Result, with_real};

/// The function of the logits of an example with label `y` that an attack makes large. With target classes `t` an attack
/// approaches those instead of leaving `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy of `y`; with target classes, minus that of `t`.
    CrossEntropy,
    /// A function of a few of the logits.
    Score(Score),
}

/// What an objective comes to where the passes of a card are recorded: a loss, and the labels and target classes that it
/// takes.
pub type Recorded<'a> = (LogitLoss, &'a [u32], Option<&'a [u32]>);

impl Objective {
    /// The fewest classes that it is defined for.
    pub fn classes(self) -> usize {
        match self {
            Self::CrossEntropy => 2,
            Self::Score(score) => score.classes(),
        }
    }

    /// The same as a card's recorded passes compute it.
    pub fn recorded<'a>(
        self,
        labels: &'a [u32],
        target_classes: Option<&'a [u32]>,
    ) -> Recorded<'a> {
        match (self, target_classes) {
            (Self::CrossEntropy, None) => (LogitLoss::CrossEntropy(1.0), labels, None),
            (Self::CrossEntropy, Some(targets)) => (LogitLoss::CrossEntropy(-1.0), targets, None),
            (Self::Score(score), _) => (LogitLoss::Score(score), labels, target_classes),
        }
    }

    /// The gradient alone of what [`Self::evaluate`] computes. On a card nothing is waited for.
    pub fn logit_gradient(
        self,
        logits: &Tensor,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Tensor> {
        match self.recorded(labels, target_classes) {
            (LogitLoss::CrossEntropy(weight), labels, _) => {
                cross_entropy_gradient_of(logits, labels, weight)
            }
            (LogitLoss::Score(score), labels, targets) => {
                Ok(logit_score::queue(logits, labels, targets, score)?.1)
            }
        }
    }

    /// The objective of each row of logits `(N, classes)` and the gradient of their sum.
    ///
    /// # Errors
    /// Too few classes, or no target classes where they are needed.
    pub fn evaluate(
        self,
        logits: &Tensor,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Loss> {
        match self {
            Self::CrossEntropy => {
                let labels = target_classes.unwrap_or(labels);
                let mut loss = cross_entropy(logits, labels, Reduction::Sum)?;
                if target_classes.is_some() {
                    loss.per_example
                        .iter_mut()
                        .for_each(|value| *value = -*value);
                    loss.gradient = loss.gradient.neg()?;
                }
                Ok(loss)
            }
            Self::Score(score) => {
                let (values, gradient) = logit_score::queue(logits, labels, target_classes, score)?;
                Ok(Loss {
                    per_example: values.read()?,
                    gradient,
                })
            }
        }
    }
}

/// For each row of logits the classes other than the label, the likeliest first.
pub(super) fn rivals(logits: &Tensor, labels: &[u32]) -> Result<Vec<Vec<u32>>> {
    let (_, classes) = logits.dims2()?;
    let logits = &logits.to_device(&Device::Cpu)?;
    with_real!(logits.dtype(), T => {
        let z = &*view::<T>(logits)?;
        Ok(z.chunks_exact(classes)
            .zip(labels)
            .map(|(row, &label)| {
                let row: Vec<f64> = row.iter().map(|v| v.wide()).collect();
                let order = descending(&row).into_iter().map(|class| class as u32);
                order.filter(|&class| class != label).collect()
            })
            .collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::real::tensor;

    const LOGITS: [f64; 5] = [0.3, 2.0, -1.0, 1.2, 0.7];

    fn logits(values: &[f64]) -> Tensor {
        tensor(values.to_vec(), (1, values.len())).unwrap()
    }

    #[test]
    fn values_follow_their_definitions() {
        let value = |objective: Objective, label, target: Option<u32>| {
            let target_classes = target.map(|target| [target]);
            let target_classes = target_classes
                .as_ref()
                .map(|target_classes| &target_classes[..]);
            objective
                .evaluate(&logits(&LOGITS), &[label], target_classes)
                .unwrap()
                .per_example[0]
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(
            value(Objective::Score(Score::Dlr), 1, None),
            -(2.0 - 1.2) / (2.0 - 0.7),
        );
        close(
            value(Objective::Score(Score::Dlr), 3, None),
            -(1.2 - 2.0) / (2.0 - 0.7),
        );
        close(
            value(Objective::Score(Score::TargetedDlr), 1, Some(2)),
            -(2.0 + 1.0) / (2.0 - 0.5 * (0.7 + 0.3)),
        );
        close(value(Objective::Score(Score::Logit), 1, None), -2.0);
        close(value(Objective::Score(Score::Logit), 1, Some(4)), 0.7);
        close(
            value(Objective::Score(Score::Margin), 1, Some(4)),
            0.7 - 2.0,
        );
        let ce = value(Objective::CrossEntropy, 1, None);
        close(value(Objective::CrossEntropy, 0, Some(1)), -ce);
    }

    #[test]
    fn gradients_are_those_of_the_values() {
        for (objective, label, target) in [
            (Objective::CrossEntropy, 1, None),
            (Objective::CrossEntropy, 1, Some(3)),
            (Objective::Score(Score::Logit), 2, None),
            (Objective::Score(Score::Dlr), 1, None),
            (Objective::Score(Score::Dlr), 4, None),
            (Objective::Score(Score::TargetedDlr), 1, Some(0)),
            (Objective::Score(Score::TargetedDlr), 1, Some(3)),
            (Objective::Score(Score::Margin), 1, Some(2)),
        ] {
            let target_classes = target.map(|target: u32| vec![target]);
            let of = |z: &[f64]| {
                objective
                    .evaluate(&logits(z), &[label], target_classes.as_deref())
                    .unwrap()
            };
            let gradient = of(&LOGITS).gradient.flatten_all().unwrap();
            for (class, found) in gradient.to_vec1::<f64>().unwrap().into_iter().enumerate() {
                let (mut up, mut down) = (LOGITS, LOGITS);
                up[class] += 1e-6;
                down[class] -= 1e-6;
                let expected = (of(&up).per_example[0] - of(&down).per_example[0]) / 2e-6;
                assert!(
                    (found - expected).abs() < 1e-7,
                    "{objective:?} {class}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn equal_logits_stay_finite_and_few_classes_are_refused() {
        let loss = Objective::Score(Score::Dlr)
            .evaluate(&logits(&[1.0; 4]), &[0], None)
            .unwrap();
        assert!(loss.per_example[0].is_finite());
        let error =
            Objective::Score(Score::TargetedDlr).evaluate(&logits(&[1.0; 3]), &[0], Some(&[1]));
        let message = error.err().expect("three classes are too few").to_string();
        assert!(message.contains("at least 4 classes"), "{message}");
    }

    #[test]
    fn rivals_are_the_other_classes_by_likelihood() {
        assert_eq!(rivals(&logits(&LOGITS), &[1]).unwrap(), [[3, 4, 0, 2]]);
        assert_eq!(rivals(&logits(&LOGITS), &[4]).unwrap(), [[1, 3, 0, 2]]);
    }
}
