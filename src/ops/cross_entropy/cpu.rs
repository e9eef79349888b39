//! Softmax cross-entropy on the CPU.

use candle_core::Tensor;

use super::Losses;
use crate::ops::Real;
use crate::ops::real::{tensor, view};
use crate::{Result, with_real};

pub fn queue(logits: &Tensor, labels: &[u32], weight: f64) -> Result<(Losses, Tensor)> {
    let (n, classes) = logits.dims2()?;
    with_real!(logits.dtype(), T => {
        let z = view::<T>(logits)?;
        let mut gradient = Vec::with_capacity(n * classes);
        let mut losses = Vec::with_capacity(n);
        for (row, &label) in z.chunks_exact(classes).zip(labels) {
            let max = row.iter().fold(f64::NEG_INFINITY, |max, v| max.max(v.wide()));
            let sum: f64 = row.iter().map(|v| (v.wide() - max).exp()).sum();
            losses.push(sum.ln() + max - row[label as usize].wide());
            for (class, v) in row.iter().enumerate() {
                let target = if class == label as usize { 1.0 } else { 0.0 };
                gradient.push(T::of(weight * ((v.wide() - max).exp() / sum - target)));
            }
        }
        Ok((Losses::Known(losses), tensor(gradient, (n, classes))?))
    })
}
