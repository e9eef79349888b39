//! The loop that FGSM, I-FGSM, MI-FGSM and PGD are: gradient, step, projection. The file of each has its constructor.

use std::cell::RefCell;

use candle_core::Tensor;

use super::craft::{goals, succeeds};
use super::{Attack, Goal, Objective, Originals, Threat, Victim};
use crate::Result;
use crate::ops::device::bring;
use crate::ops::perturbation::add_normalised;

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
    /// Whether the first step that succeeds on an image is its last.
    pub early_stop: bool,
    pub objective: Objective,
    pub goal: Goal,
}

/// Steps from which on it pays to look for iterates that come in a circle.
const MANY: usize = 20;

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
            early_stop: false,
            objective: Objective::CrossEntropy,
            goal: Goal::Misclassify,
        }
    }

    /// The steps from `x` on, up whatever has the gradient that `gradient` computes from the logits. All images lie where the
    /// network computes.
    pub(crate) fn ascend(
        &self,
        victim: &Victim<'_>,
        originals: &Tensor,
        x: Tensor,
        gradient: impl Fn(&Tensor) -> Result<Tensor> + Sync,
    ) -> Result<Tensor> {
        let gradient_at = |x: &Tensor| victim.input_gradient(x, |logits| gradient(logits));
        self.walk(originals, x, &gradient_at, &mut self.direction())
    }

    /// As [`Self::ascend`], along what `direction` makes of each point.
    fn walk(
        &self,
        originals: &Tensor,
        mut x: Tensor,
        gradient_at: &GradientAt<'_>,
        direction: &mut dyn FnMut(&Tensor, &GradientAt<'_>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        for _ in 0..self.k {
            let along = direction(&x, gradient_at)?;
            x = self.threat.step(&x, originals, &along, self.step_size)?;
        }
        Ok(x)
    }

    /// The class that the attack wants for each image; none where any but the label will do.
    pub(super) fn target_classes(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<Option<Vec<u32>>> {
        match self.goal {
            Goal::Misclassify => Ok(None),
            goal => goals(goal, &[victim.logits(originals.images)?], originals.labels),
        }
    }

    /// Where the first step is taken from, for `images` on any device.
    pub(super) fn first(&self, images: &Tensor, originals: Originals<'_>) -> Result<Tensor> {
        match self.random_start {
            true => self
                .threat
                .random_start(images, originals.indices, originals.start),
            false => Ok(images.clone()),
        }
    }

    /// Along the gradient, or what accumulates of it.
    fn direction(&self) -> impl FnMut(&Tensor, &GradientAt<'_>) -> Result<Tensor> {
        let decay = self.decay;
        let mut momentum: Option<Tensor> = None;
        move |x, gradient_at| {
            let gradient = gradient_at(x)?;
            let Some(decay) = decay else {
                return Ok(gradient);
            };
            let momentum = match &mut momentum {
                Some(momentum) => momentum,
                none => none.insert(gradient.zeros_like()?),
            };
            add_normalised(momentum, &gradient, decay)?;
            Ok(momentum.clone())
        }
    }

    /// Whether images may leave before the last step. On a card, where nothing is waited for, only if they are asked to.
    fn is_left_early(&self, victim: &Victim<'_>) -> bool {
        let is_here = victim.network.device().is_cpu();
        self.decay.is_none() && (self.early_stop || is_here && self.k >= MANY)
    }

    /// The attack along what `direction` makes of each point. Where there are `steps`, they become, per image, the number of
    /// gradients before the first of a point to which the answer is what the attack wants.
    pub(super) fn perturb_along(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        direction: &mut dyn FnMut(&Tensor, &GradientAt<'_>) -> Result<Tensor>,
        steps: Option<&mut [usize]>,
    ) -> Result<Tensor> {
        let Originals { images, labels, .. } = originals;
        let target_classes = self.target_classes(victim, originals)?;
        let target_classes = target_classes.as_deref();
        // From the first step to the last where the network is.
        let moved = bring(images, victim.network.device())?;
        let x = self.first(&moved, originals)?;
        let counting = RefCell::new(steps.map(|steps| (0.., steps)));
        let gradient_at = |x: &Tensor| {
            let Some((taken, steps)) = &mut *counting.borrow_mut() else {
                return victim.objective_gradient(x, self.objective, labels, target_classes);
            };
            let (gradient, answers) =
                victim.answered_gradient(x, self.objective, labels, target_classes)?;
            let taken = taken.next().unwrap_or(self.k);
            for (row, &answer) in answers.iter().enumerate() {
                if succeeds(
                    answer,
                    labels[row],
                    target_classes.map(|wanted| wanted[row]),
                ) {
                    steps[row] = steps[row].min(taken);
                }
            }
            Ok(gradient)
        };
        let x = self.walk(&moved, x, &gradient_at, direction)?;
        Ok(x.to_device(images.device())?)
    }
}

/// The gradient at a point.
pub(super) type GradientAt<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

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

    fn steps(&self) -> Option<&Steps> {
        Some(self)
    }

    fn restarts(&self) -> usize {
        if self.random_start { self.restarts } else { 1 }
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        if self.is_left_early(victim) {
            return Ok(self.perturb_leaving(victim, originals)?.0);
        }
        self.perturb_along(victim, originals, &mut self.direction(), None)
    }

    fn perturb_counting(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Tensor, Option<Vec<usize>>)> {
        if self.is_left_early(victim) {
            let (images, steps) = self.perturb_leaving(victim, originals)?;
            return Ok((images, Some(steps)));
        }
        let mut steps = vec![self.k; originals.labels.len()];
        let counted = Some(steps.as_mut_slice());
        let images = self.perturb_along(victim, originals, &mut self.direction(), counted)?;
        Ok((images, Some(steps)))
    }
}
