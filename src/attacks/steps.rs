//! The loop that FGSM, I-FGSM, MI-FGSM and PGD are: gradient, step, projection. The file of each has its constructor.

use candle_core::Tensor;

use super::driver::goals;
use super::threat::image_len;
use super::{Attack, Goal, Objective, Originals, Target, Threat};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::real::{tensor, view};
use crate::{Result, simd, with_real};

/// Steps of one size up an objective, each projected into the ball and the pixel range.
pub struct Steps {
    /// The name in result files.
    pub name: &'static str,
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    /// The decay of the accumulated gradient (MI-FGSM); none for the gradient itself.
    pub decay: Option<f64>,
    /// Whether the first step is taken from a random point of the ball, or from the original.
    pub random_start: bool,
    /// Runs from different random starts; without those every run is the same, and there is one.
    pub restarts: usize,
    pub objective: Objective,
    pub goal: Goal,
}

impl Steps {
    /// One run from the original away from the label, up the cross-entropy.
    pub(super) fn from_original(
        name: &'static str,
        threat: Threat,
        step_size: f64,
        k: usize,
    ) -> Self {
        Self {
            name,
            threat,
            step_size,
            k,
            decay: None,
            random_start: false,
            restarts: 1,
            objective: Objective::CrossEntropy,
            goal: Goal::Misclassify,
        }
    }
}

simd! {
    fn accumulate<T>(gradient: &[T], decay: T, scale: T, momentum: &mut [T]) {
        for (m, &g) in momentum.iter_mut().zip(gradient) {
            *m = decay * *m + scale * g;
        }
    }
}

/// `momentum` becomes `decay momentum + g / |g|_1` in each image; a zero gradient adds nothing.
fn add_normalised<T: Real>(momentum: &mut [T], gradient: &[T], decay: f64, image: usize) {
    chunks_mut(momentum, image, &|i, momentum| {
        let gradient = chunk(gradient, image, i);
        let length: f64 = gradient.iter().map(|g| g.wide().abs()).sum();
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        accumulate(gradient, T::of(decay), T::of(scale), momentum);
    });
}

impl Attack for Steps {
    fn name(&self) -> &'static str {
        self.name
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn goal(&self) -> Goal {
        self.goal
    }

    fn restarts(&self) -> usize {
        if self.random_start { self.restarts } else { 1 }
    }

    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let Originals { images, labels, .. } = originals;
        let targets = match self.goal {
            Goal::Misclassify => None,
            goal => goals(goal, &target.logits(images)?, labels)?,
        };
        let targets = targets.as_deref();
        let mut x = if self.random_start {
            let Originals { indices, start, .. } = originals;
            self.threat.random_start(images, indices, start)?
        } else {
            images.clone()
        };
        let image = image_len(images)?;
        with_real!(images.dtype(), T => {
            let mut momentum = vec![T::ZERO; if self.decay.is_some() { images.elem_count() } else { 0 }];
            for _ in 0..self.k {
                let ascent = target.gradient(&x, |logits| self.objective.evaluate(logits, labels, targets))?;
                let gradient = match self.decay {
                    None => ascent.gradient,
                    Some(decay) => {
                        add_normalised(&mut momentum, &view::<T>(&ascent.gradient)?, decay, image);
                        tensor(momentum.clone(), images.shape())?
                    }
                };
                x = self.threat.step(&x, images, &gradient, self.step_size)?;
            }
            Ok(x)
        })
    }
}
