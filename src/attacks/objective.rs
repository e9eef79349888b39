//! What an attack ascends: a function of an example's logits, with its gradient.

use candle_core::{Device, Tensor};

use crate::nn::loss::{Loss, Reduction, cross_entropy};
use crate::ops::Real;
use crate::ops::cross_entropy::gradient as cross_entropy_gradient_of;
use crate::ops::real::{tensor, view};
use crate::{Error, Result, with_real};

/// Keeps a quotient of logits finite where all of them are equal.
const FLOOR: f64 = 1e-12;

/// The function of the logits `z` of an example with label `y` that an attack makes large. With target classes `t` an
/// attack approaches those instead of leaving `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy of `y`; with target classes, minus that of `t`.
    CrossEntropy,
    /// `-z_y`; with target classes, `z_t`: the negative log-likelihood of raw logits, as if they were log-probabilities.
    Logit,
    /// Difference of logits ratio, `-(z_y - max z_other) / (z_1 - z_3)` with `z_1 >= z_2 >= ..` the sorted logits (Croce
    /// and Hein, arXiv 2003.01690). It does not change with the scale of the logits.
    Dlr,
    /// `-(z_y - z_t) / (z_1 - (z_3 + z_4) / 2)`, from the same paper; takes target classes.
    TargetedDlr,
    /// `z_t - z_y`: the boundary between two classes, on which FAB projects; takes target classes.
    Margin,
}

impl Objective {
    /// The fewest classes that it is defined for.
    pub fn classes(self) -> usize {
        match self {
            Self::CrossEntropy | Self::Logit | Self::Margin => 2,
            Self::Dlr => 3,
            Self::TargetedDlr => 4,
        }
    }

    /// Refuses a model of fewer classes than the loss tells apart.
    fn check(self, classes: usize) -> Result<()> {
        if classes >= self.classes() {
            return Ok(());
        }
        Err(Error::failed(format!(
            "the loss {self:?} takes a model of at least {} classes, and this one has {classes}",
            self.classes()
        )))
    }

    /// The labels whose cross-entropies, times a weight, this objective adds up; none where it is another function.
    pub fn cross_entropy<'a>(
        self,
        labels: &'a [u32],
        target_classes: Option<&'a [u32]>,
    ) -> Option<(&'a [u32], f64)> {
        match (self, target_classes) {
            (Self::CrossEntropy, None) => Some((labels, 1.0)),
            (Self::CrossEntropy, Some(targets)) => Some((targets, -1.0)),
            _ => None,
        }
    }

    /// The gradient alone of what [`Self::evaluate`] computes. The cross-entropy of logits on a card waits for nothing;
    /// the other losses are computed on the CPU.
    pub fn logit_gradient(
        self,
        logits: &Tensor,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Tensor> {
        self.check(logits.dim(1)?)?;
        if let Some((labels, weight)) = self.cross_entropy(labels, target_classes) {
            return cross_entropy_gradient_of(logits, labels, weight);
        }
        let loss = self.evaluate(&logits.to_device(&Device::Cpu)?, labels, target_classes)?;
        Ok(loss.gradient.to_device(logits.device())?)
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
        let (n, classes) = logits.dims2()?;
        self.check(classes)?;
        if self == Self::CrossEntropy {
            let mut loss = cross_entropy(logits, target_classes.unwrap_or(labels), Reduction::Sum)?;
            if target_classes.is_some() {
                loss.per_example
                    .iter_mut()
                    .for_each(|value| *value = -*value);
                loss.gradient = loss.gradient.neg()?;
            }
            return Ok(loss);
        }
        with_real!(logits.dtype(), T => {
            let z = &*view::<T>(logits)?;
            let mut per_example = Vec::with_capacity(n);
            let mut gradient = Vec::with_capacity(n * classes);
            for (i, row) in z.chunks_exact(classes).enumerate() {
                let row: Vec<f64> = row.iter().map(|v| v.wide()).collect();
                let target = target_classes.map(|target_classes| target_classes[i] as usize);
                let (value, logit_gradient) = self.of_row(&row, labels[i] as usize, target)?;
                per_example.push(value);
                gradient.extend(logit_gradient.into_iter().map(T::of));
            }
            Ok(Loss { per_example, gradient: tensor(gradient, (n, classes))? })
        })
    }

    fn of_row(self, z: &[f64], y: usize, target: Option<usize>) -> Result<(f64, Vec<f64>)> {
        let mut logit_gradient = vec![0.0; z.len()];
        let needed = || {
            target.ok_or_else(|| Error::failed(format!("the loss {self:?} takes target classes")))
        };
        let value = match self {
            Self::CrossEntropy | Self::Logit => match target {
                Some(t) => {
                    logit_gradient[t] = 1.0;
                    z[t]
                }
                None => {
                    logit_gradient[y] = -1.0;
                    -z[y]
                }
            },
            Self::Margin => {
                let t = needed()?;
                logit_gradient[t] += 1.0;
                logit_gradient[y] -= 1.0;
                z[t] - z[y]
            }
            Self::Dlr => {
                let order = descending(z);
                let other = if order[0] == y { order[1] } else { order[0] };
                ratio(
                    z[y] - z[other],
                    &[(y, 1.0), (other, -1.0)],
                    z[order[0]] - z[order[2]],
                    &[(order[0], 1.0), (order[2], -1.0)],
                    &mut logit_gradient,
                )
            }
            Self::TargetedDlr => {
                let (t, order) = (needed()?, descending(z));
                ratio(
                    z[y] - z[t],
                    &[(y, 1.0), (t, -1.0)],
                    z[order[0]] - 0.5 * (z[order[2]] + z[order[3]]),
                    &[(order[0], 1.0), (order[2], -0.5), (order[3], -0.5)],
                    &mut logit_gradient,
                )
            }
        };
        Ok((value, logit_gradient))
    }
}

/// `-above / below`, whose gradient is added to `logit_gradient`; the pairs are the gradients of the two.
fn ratio(
    above: f64,
    above_slope: &[(usize, f64)],
    below: f64,
    below_slope: &[(usize, f64)],
    logit_gradient: &mut [f64],
) -> f64 {
    let below = below + FLOOR;
    for &(class, weight) in above_slope {
        logit_gradient[class] -= weight / below;
    }
    for &(class, weight) in below_slope {
        logit_gradient[class] += above / (below * below) * weight;
    }
    -above / below
}

/// The classes from the largest logit to the smallest; the first of equal ones first.
pub(super) fn descending(z: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..z.len()).collect();
    order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
    order
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
        close(value(Objective::Dlr, 1, None), -(2.0 - 1.2) / (2.0 - 0.7));
        close(value(Objective::Dlr, 3, None), -(1.2 - 2.0) / (2.0 - 0.7));
        close(
            value(Objective::TargetedDlr, 1, Some(2)),
            -(2.0 + 1.0) / (2.0 - 0.5 * (0.7 + 0.3)),
        );
        close(value(Objective::Logit, 1, None), -2.0);
        close(value(Objective::Logit, 1, Some(4)), 0.7);
        close(value(Objective::Margin, 1, Some(4)), 0.7 - 2.0);
        let ce = value(Objective::CrossEntropy, 1, None);
        close(value(Objective::CrossEntropy, 0, Some(1)), -ce);
    }

    #[test]
    fn gradients_are_those_of_the_values() {
        for (objective, label, target) in [
            (Objective::CrossEntropy, 1, None),
            (Objective::CrossEntropy, 1, Some(3)),
            (Objective::Logit, 2, None),
            (Objective::Dlr, 1, None),
            (Objective::Dlr, 4, None),
            (Objective::TargetedDlr, 1, Some(0)),
            (Objective::TargetedDlr, 1, Some(3)),
            (Objective::Margin, 1, Some(2)),
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
        let loss = Objective::Dlr
            .evaluate(&logits(&[1.0; 4]), &[0], None)
            .unwrap();
        assert!(loss.per_example[0].is_finite());
        let error = Objective::TargetedDlr.evaluate(&logits(&[1.0; 3]), &[0], Some(&[1]));
        let message = error.err().expect("three classes are too few").to_string();
        assert!(message.contains("at least 4 classes"), "{message}");
    }

    #[test]
    fn rivals_are_the_other_classes_by_likelihood() {
        assert_eq!(rivals(&logits(&LOGITS), &[1]).unwrap(), [[3, 4, 0, 2]]);
        assert_eq!(rivals(&logits(&LOGITS), &[4]).unwrap(), [[1, 3, 0, 2]]);
    }
}
