//! Scores of logits on the CPU.

use candle_core::Tensor;

use super::{FLOOR, Losses, Score};
use crate::ops::Real;
use crate::ops::real::{tensor, view};
use crate::{Result, with_real};

pub fn queue(
    logits: &Tensor,
    labels: &[u32],
    target_classes: Option<&[u32]>,
    score: Score,
) -> Result<(Losses, Tensor)> {
    let (n, classes) = logits.dims2()?;
    with_real!(logits.dtype(), T => {
        let z = &*view::<T>(logits)?;
        let mut values = Vec::with_capacity(n);
        let mut gradient = Vec::with_capacity(n * classes);
        for (i, row) in z.chunks_exact(classes).enumerate() {
            let row: Vec<f64> = row.iter().map(|v| v.wide()).collect();
            let target = target_classes.map(|targets| targets[i] as usize);
            let (value, slope) = of_row(score, &row, labels[i] as usize, target);
            values.push(value);
            gradient.extend(slope.into_iter().map(T::of));
        }
        Ok((Losses::Known(values), tensor(gradient, (n, classes))?))
    })
}

fn of_row(score: Score, z: &[f64], y: usize, target: Option<usize>) -> (f64, Vec<f64>) {
    let mut gradient = vec![0.0; z.len()];
    let t = target.unwrap_or(y);
    let value = match score {
        Score::Logit => {
            let sign = if target.is_some() { 1.0 } else { -1.0 };
            gradient[t] = sign;
            sign * z[t]
        }
        Score::Margin => {
            let t = target.unwrap_or_else(|| likeliest_other(&descending(z), y));
            gradient[t] += 1.0;
            gradient[y] -= 1.0;
            z[t] - z[y]
        }
        Score::Dlr => {
            let order = descending(z);
            let other = likeliest_other(&order, y);
            ratio(
                z[y] - z[other],
                &[(y, 1.0), (other, -1.0)],
                z[order[0]] - z[order[2]],
                &[(order[0], 1.0), (order[2], -1.0)],
                &mut gradient,
            )
        }
        Score::TargetedDlr => {
            let order = descending(z);
            ratio(
                z[y] - z[t],
                &[(y, 1.0), (t, -1.0)],
                z[order[0]] - 0.5 * (z[order[2]] + z[order[3]]),
                &[(order[0], 1.0), (order[2], -0.5), (order[3], -0.5)],
                &mut gradient,
            )
        }
    };
    (value, gradient)
}

/// The first class in the order that is not `y`.
fn likeliest_other(order: &[usize], y: usize) -> usize {
    if order[0] == y { order[1] } else { order[0] }
}

/// `-above / below`, whose gradient is added to `gradient`; the pairs are the gradients of the two.
fn ratio(
    above: f64,
    above_slope: &[(usize, f64)],
    below: f64,
    below_slope: &[(usize, f64)],
    gradient: &mut [f64],
) -> f64 {
    let below = below + FLOOR;
    for &(class, weight) in above_slope {
        gradient[class] -= weight / below;
    }
    for &(class, weight) in below_slope {
        gradient[class] += above / (below * below) * weight;
    }
    -above / below
}

/// The classes from the largest logit to the smallest; the first of equal ones first.
pub fn descending(z: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..z.len()).collect();
    order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
    order
}
