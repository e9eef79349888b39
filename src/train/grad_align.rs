//! GradAlign (Andriushchenko and Flammarion, arXiv 2007.02617): the cross-entropy on adversarial images and, `lambda` times, how
//! far the gradient at an image points away from that at a random point of its ball. Where the two agree the loss is locally
//! linear, and single steps do not overfit.
//!
//! `loss = CE(f(x'), y) + lambda (1 - cos(g(x), g(x + u)))`, means over the batch, `g` the gradient of the mean cross-entropy
//! with respect to the images in training mode, `u` uniform in the attack's ball, within the pixel range. As in the authors'
//! code (github.com/tml-epfl/understanding-fast-adv-training) `g(x)` counts as constant.
//!
//! The gradient of the second term with respect to the weights `w` is that of `v . g(x + u)` with `v` the term's gradient with
//! respect to `g(x + u)`, a derivative of second order, and equals the derivative of `grad_w CE(x + u + h v)` by `h` at 0. That
//! is taken by a central difference: two passes through the network instead of a second derivative of every layer. Its error
//! falls with the square of the way, until a ReLU changes sign along it or rounding shows, see [`way`]. It is of true
//! gradients: with linear activations `g` is the gradient of no function, so LinBP acts in `x'` and in the cross-entropy alone.
//! An example one of whose gradients is 0 adds nothing.

use candle_core::{DType, Tensor};

use super::statistics::undisturbed;
use super::{Evaluated, Objective, Step};
use crate::Result;
use crate::attacks::{Checks, Start};
use crate::nn::{Gradients, LinearPlan, Mode, Pass, Tape};
use crate::ops::cross_entropy::{self, Targets};
use crate::ops::device::bring;
use crate::spec::range::Positive;
use crate::spec::section;

/// Tells the random points from the starts of attacks and of evaluations.
const ROUND: u16 = 2;

section! {
    /// Minimises the cross-entropy on adversarial images and the angle between gradients within a ball.
    GradAlign {
        /// The weight of the alignment; required, 0.2 in the paper for CIFAR-10 and epsilon 8/255, more for larger balls.
        lambda: f64 [required as Positive],
    }
}

impl Objective for GradAlign {
    fn attacks(&self) -> bool {
        true
    }

    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        step.attacked()
    }

    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated> {
        let mut found = step.cross_entropy(crafted)?;
        let entropy = found.losses.sum()?;
        let images = bring(&step.batch.images, step.network.device())?;
        let start = Start {
            seed: step.at.seed,
            epoch: step.at.epoch,
            round: ROUND,
            ..Start::default()
        };
        let threat = step.adversary()?.attack.threat();
        let noisy = threat.random_start(&images, &step.batch.indices, start)?;
        let clean = undisturbed(step.network, || image_gradient(step, &images))?;
        let alignment = Alignment::of(&clean, &image_gradient(step, &noisy)?)?;
        let share = 1.0 / step.batch.label_values.len().max(1) as f64;
        let direction = (alignment.slope * (-self.lambda * share))?;
        let of_weights = undisturbed(step.network, || along(step, &noisy, &direction))?;
        found.gradients = found.gradients.plus(of_weights)?;
        let misaligned = (1.0 - alignment.cosines)?;
        found.parts = vec![
            ("cross-entropy", entropy),
            ("misalignment", misaligned.sum_all()?),
        ];
        found.losses = found.losses.plus(&(misaligned * self.lambda)?)?;
        Ok(found)
    }
}

/// The mean cross-entropy's gradient with respect to the images, in training mode, by true derivatives.
fn image_gradient(step: &Step<'_>, images: &Tensor) -> Result<Tensor> {
    let tape = Tape::new(Pass::attack(LinearPlan::none(), Mode::Train, step.at));
    let logits = step.network.forward(&tape, &tape.input(images))?;
    let targets = Targets::of(&step.batch.label_values);
    let share = 1.0 / targets.labels.len() as f64;
    let (_, gradient) = cross_entropy::queue(logits.tensor(), targets, share)?;
    tape.backward(&logits, gradient)?.input()
}

/// How far the central difference goes to either side, in pixel values of the one that moves most: as little as rounding lets
/// it.
fn way(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-6,
        _ => 1e-3,
    }
}

/// The derivative of the weights' gradient, of the mean cross-entropy of `images`, along `direction`.
fn along(step: &Step<'_>, images: &Tensor, direction: &Tensor) -> Result<Gradients> {
    let way = way(images.dtype());
    let largest = direction
        .abs()?
        .max_all()?
        .maximum(f32::MIN_POSITIVE as f64)?;
    let unit = direction
        .broadcast_div(&largest)?
        .to_dtype(images.dtype())?;
    let side = |sign: f64| -> Result<Gradients> {
        let tape = Tape::new(Pass::training(LinearPlan::none(), step.at));
        let moved = (images + (&unit * (sign * way))?)?;
        let logits = step.network.forward(&tape, &tape.input(&moved))?;
        let targets = Targets::of(&step.batch.label_values);
        let weight = sign / (2.0 * way * targets.labels.len() as f64);
        let (_, gradient) = cross_entropy::queue(logits.tensor(), targets, weight)?;
        let largest = largest.to_dtype(gradient.dtype())?;
        tape.backward(&logits, gradient.broadcast_mul(&largest)?)
    };
    let up = side(1.0)?;
    up.plus(side(-1.0)?)
}

/// The cosines between the gradients of each example, float64.
struct Alignment {
    /// `(N)`; 1 where one of the two is 0.
    cosines: Tensor,
    /// Of the sum of the cosines, with respect to the second gradients, in their shape.
    slope: Tensor,
}

impl Alignment {
    fn of(first: &Tensor, second: &Tensor) -> Result<Self> {
        let flat = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_from(1);
        let (a, b) = (flat(first)?, flat(second)?);
        let length = |t: &Tensor| t.sqr()?.sum_keepdim(1)?.sqrt();
        let (of_a, of_b) = (length(&a)?, length(&b)?);
        let none = (&of_a * &of_b)?.eq(0.0)?.to_dtype(DType::F64)?;
        // Of an example without a gradient nothing is divided by 0.
        let (of_a, of_b) = ((of_a + &none)?, (of_b + &none)?);
        let (a, b) = (a.broadcast_div(&of_a)?, b.broadcast_div(&of_b)?);
        let cosines = (&a * &b)?.sum_keepdim(1)?;
        let slope = (a - b.broadcast_mul(&cosines)?)?.broadcast_div(&of_b)?;
        let some = (1.0 - &none)?;
        Ok(Self {
            cosines: ((cosines * &some)? + none)?.squeeze(1)?,
            slope: slope.broadcast_mul(&some)?.reshape(second.shape())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn slopes_are_those_of_the_cosines() {
        let first: [f64; 9] = [0.3, -1.0, 2.0, 0.1, -0.5, 0.4, 0.0, 0.0, 0.0];
        let second: [f64; 9] = [1.3, 0.2, -0.7, 0.9, 3.0, 0.1, 0.5, 1.0, 0.2];
        let of = |second: &[f64]| {
            let tensor =
                |values: &[f64]| Tensor::from_slice(values, (3, 1, 1, 3), &Device::Cpu).unwrap();
            Alignment::of(&tensor(&first), &tensor(second)).unwrap()
        };
        let found = of(&second);
        let cosines: Vec<f64> = found.cosines.to_vec1().unwrap();
        assert_eq!(cosines[2], 1.0);
        let slope: Vec<f64> = found.slope.flatten_all().unwrap().to_vec1().unwrap();
        for (at, slope) in slope.into_iter().enumerate() {
            let sum = |by: f64| {
                let mut moved = second;
                moved[at] += by;
                let cosines = of(&moved).cosines;
                cosines.sum_all().unwrap().to_scalar::<f64>().unwrap()
            };
            let expected = (sum(1e-6) - sum(-1e-6)) / 2e-6;
            assert!((slope - expected).abs() < 1e-8, "{at}: {slope} {expected}");
        }
    }
}
