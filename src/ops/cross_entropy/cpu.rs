//! Softmax cross-entropy on the CPU.

use candle_core::Tensor;

use super::{Losses, Targets};
use crate::ops::Real;
use crate::ops::real::{tensor, view};
use crate::{Result, with_real};

pub fn queue(logits: &Tensor, targets: Targets<'_>, weight: f64) -> Result<(Losses, Tensor)> {
    let (n, classes) = logits.dims2()?;
    let (keep, even) = (
        1.0 - targets.smoothing,
        targets.smoothing / classes.max(1) as f64,
    );
    with_real!(logits.dtype(), T => {
        let z = view::<T>(logits)?;
        let mut gradient = Vec::with_capacity(n * classes);
        let mut losses = Vec::with_capacity(n);
        for (i, row) in z.chunks_exact(classes).enumerate() {
            let first = targets.labels[i] as usize;
            let (second, share) = match targets.second {
                Some(second) => (second.labels[i] as usize, second.weights[i]),
                None => (first, 0.0),
            };
            let max = row.iter().fold(f64::NEG_INFINITY, |max, v| max.max(v.wide()));
            let sum: f64 = row.iter().map(|v| (v.wide() - max).exp()).sum();
            let mut expected = row[first].wide();
            // What has no weight is not looked at: it may be infinite.
            if share > 0.0 {
                expected = (1.0 - share) * expected + share * row[second].wide();
            }
            if even > 0.0 {
                expected = keep * expected + even * row.iter().map(|v| v.wide()).sum::<f64>();
            }
            losses.push(sum.ln() + max - expected);
            for (class, v) in row.iter().enumerate() {
                let mut target = even;
                if class == first {
                    target += keep * (1.0 - share);
                }
                if class == second {
                    target += keep * share;
                }
                gradient.push(T::of(weight * ((v.wide() - max).exp() / sum - target)));
            }
        }
        Ok((Losses::Known(losses), tensor(gradient, (n, classes))?))
    })
}
