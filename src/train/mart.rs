//! MART (Wang et al., ICLR 2020, "Improving Adversarial Robustness Requires Revisiting Misclassified Examples"): a boosted
//! cross-entropy on adversarial images plus a divergence from the answers to the clean ones, which counts the more the less
//! probable the clean image's label is.
//!
//! With `p` and `q` the answers to the clean and to the adversarial image and `y` the label:
//! `-log q_y - log(1.0001 - max_{k != y} q_k) + beta (1 - p_y) KL(p || q)`. The 0.0001 is the authors', without which a rival
//! that is certain would cost infinitely much; the adversarial images are those of the stage's attack.

use candle_core::{DType, Tensor};
use candle_nn::ops::softmax;

use super::divergence::divergence;
use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::attacks::Checks;
use crate::ops::cross_entropy;
use crate::spec::range::Positive;
use crate::spec::section;

/// What the rival's probability may be at most, and a little.
const CERTAIN: f64 = 1.0001;

section! {
    /// Minimises a boosted cross-entropy on adversarial images, and the divergence where clean images are not understood.
    Mart {
        /// The weight of the divergence, above 0, lambda in the paper; default 5, as in the authors' code.
        beta: f64 [as Positive, or 5.0],
    }
}

impl Objective for Mart {
    fn attacks(&self) -> bool {
        true
    }

    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        step.attacked()
    }

    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated> {
        let (clean_tape, clean) = step.forward(&step.batch.images)?;
        let (tape, robust) = step.forward(crafted)?;
        let labels = &step.batch.label_values;
        let share = 1.0 / labels.len().max(1) as f64;
        let (losses, gradient) = cross_entropy::queue(robust.tensor(), step.targets(), share)?;
        let dtype = gradient.dtype();
        let found = Parts::of(clean.tensor(), robust.tensor(), labels)?;
        let entropy = losses.sum()?;
        // The tape of the adversarial images first: what it held is free for the other.
        let of_robust = ((found.rival_slope + (found.robust_slope * self.beta)?)? * share)?;
        let of_robust = (gradient.to_dtype(DType::F64)? + of_robust)?;
        let of_robust = tape.backward(&robust, of_robust.to_dtype(dtype)?)?;
        let of_clean = (found.clean_slope * (self.beta * share))?;
        let of_clean = clean_tape.backward(&clean, of_clean.to_dtype(dtype)?)?;
        Ok(Evaluated {
            gradients: of_clean.plus(of_robust)?,
            logits: robust.tensor().clone(),
            parts: vec![
                ("boosted", (entropy + found.rival.sum_all()?)?),
                ("robust", found.weighted.sum_all()?),
            ],
            losses: losses
                .plus(&found.rival)?
                .plus(&(found.weighted * self.beta)?)?,
            checks: Checks::default(),
        })
    }
}

/// What the loss has beside the cross-entropy, each of the values `(N)` with its gradients with respect to logits
/// `(N, classes)`; all float64.
struct Parts {
    /// `-log(1.0001 - max_{k != y} q_k)`
    rival: Tensor,
    rival_slope: Tensor,
    /// `(1 - p_y) KL(p || q)`
    weighted: Tensor,
    clean_slope: Tensor,
    robust_slope: Tensor,
}

impl Parts {
    fn of(clean: &Tensor, robust: &Tensor, labels: &[u32]) -> Result<Self> {
        let (n, classes) = clean.dims2()?;
        let device = clean.device();
        let numbers = Tensor::arange(0, classes as u32, device)?.reshape((1, classes))?;
        let one_hot = |classes: &Tensor| numbers.broadcast_eq(classes)?.to_dtype(DType::F64);
        let label = one_hot(&Tensor::from_slice(labels, (n, 1), device)?)?;
        let answer = |logits: &Tensor| softmax(&logits.to_dtype(DType::F64)?, 1);
        let (p, q) = (answer(clean)?, answer(robust)?);
        // A label's place among the rivals is below every probability.
        let others = (&q - (&label * 2.0)?)?;
        let rival = one_hot(&others.argmax_keepdim(1)?)?;
        let of_rival = (&q * &rival)?.sum_keepdim(1)?;
        let room = (CERTAIN - &of_rival)?;
        let of_label = (&p * &label)?.sum_keepdim(1)?;
        let doubt = (1.0 - &of_label)?;
        let divergence = divergence(clean, robust)?;
        let values = divergence.values.unsqueeze(1)?;
        let less = (values.clone() * of_label)?;
        Ok(Self {
            rival: room.log()?.neg()?.squeeze(1)?,
            rival_slope: (rival - &q)?.broadcast_mul(&(of_rival / room)?)?,
            weighted: (values * &doubt)?.squeeze(1)?,
            clean_slope: (divergence.clean.broadcast_mul(&doubt)?
                - (label - p)?.broadcast_mul(&less)?)?,
            robust_slope: divergence.robust.broadcast_mul(&doubt)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn slopes_are_those_of_the_values() {
        let clean: [f64; 8] = [0.3, -1.0, 2.0, 0.1, -0.5, 0.4, 0.2, 1.9];
        let robust: [f64; 8] = [1.3, 0.2, -0.7, 0.9, 3.0, 0.1, -0.2, 0.6];
        let parts = |clean: &[f64], robust: &[f64]| {
            let tensor = |values: &[f64]| Tensor::from_slice(values, (2, 4), &Device::Cpu).unwrap();
            Parts::of(&tensor(clean), &tensor(robust), &[2, 1]).unwrap()
        };
        let sums = |parts: Parts| {
            let sum = |values: Tensor| values.sum_all().unwrap().to_scalar::<f64>().unwrap();
            [sum(parts.rival), sum(parts.weighted)]
        };
        let found = parts(&clean, &robust);
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let slopes = [&found.rival_slope, &found.robust_slope, &found.clean_slope].map(flat);
        for at in 0..8 {
            let moved = |of_clean: bool| {
                let at_side = |by: f64| {
                    let (mut c, mut r) = (clean, robust);
                    if of_clean {
                        c[at] += by
                    } else {
                        r[at] += by
                    }
                    sums(parts(&c, &r))
                };
                let (up, down) = (at_side(1e-6), at_side(-1e-6));
                [0, 1].map(|i| (up[i] - down[i]) / 2e-6)
            };
            let ([rival, robust], [none, clean]) = (moved(false), moved(true));
            let near = |found: f64, expected: f64| (found - expected).abs() < 1e-8;
            assert!(
                near(slopes[0][at], rival) && near(slopes[1][at], robust),
                "{at}"
            );
            assert!(near(slopes[2][at], clean) && none == 0.0, "{at}");
        }
    }
}
