//! The loop that FGSM, I-FGSM with all that it is combined with, and PGD are: gradient, step, projection.

use std::cell::RefCell;

use candle_core::Tensor;

use super::craft::{goals, succeeds};
use super::draws::Draws;
use super::momentum::{GradientAt, Landscape, Momentum, Pace, Plain};
use super::transform::{self, InputTransform};
use super::{Attack, Goal, Objective, Originals, Threat, Victim};
use crate::Result;
use crate::ops::device::bring;

/// Steps of one size up an objective, each projected into the ball and the pixel range.
pub struct Steps {
    /// The name in result files.
    pub name: &'static str,
    pub threat: Threat,
    pub step_size: f64,
    pub k: usize,
    /// What becomes of the gradients of the steps; none for each by itself.
    pub momentum: Option<Momentum>,
    /// The share of the accumulated gradient that a step keeps, where there is momentum.
    pub decay: f64,
    /// What images go through before the network, in this order.
    pub transforms: Vec<InputTransform>,
    /// Whether the first step is taken from a random point of the ball, or from the original.
    pub random_start: bool,
    /// Tries with other random numbers; without any every try is the same, and there is one.
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
            momentum: None,
            decay: 1.0,
            transforms: Vec::new(),
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
        originals: Originals<'_>,
        x: Tensor,
        gradient: impl Fn(&Tensor) -> Result<Tensor> + Sync,
    ) -> Result<Tensor> {
        let gradient_at = |x: &Tensor| victim.input_gradient(x, |logits| gradient(logits));
        self.walk(originals, x, &gradient_at)
    }

    /// As [`Self::ascend`], by the gradient at each point.
    fn walk(
        &self,
        originals: Originals<'_>,
        mut x: Tensor,
        gradient_at: &GradientAt<'_>,
    ) -> Result<Tensor> {
        let epsilon = self.threat.epsilon;
        let draws = Draws::new(originals);
        let through =
            |x: &Tensor| transform::gradient(&self.transforms, x, epsilon, &draws, gradient_at);
        let landscape = Landscape {
            gradient: &through,
            draws: &draws,
        };
        let pace = Pace {
            step_size: self.step_size,
            epsilon,
            decay: self.decay,
        };
        let mut directions = match &self.momentum {
            Some(momentum) => momentum.directions(pace),
            None => Box::new(Plain),
        };
        for _ in 0..self.k {
            let along = directions.next(&x, &landscape)?;
            x = self
                .threat
                .step(&x, originals.images, &along, self.step_size)?;
        }
        Ok(x)
    }

    /// Whether each step goes along the gradient at its own point.
    pub(crate) fn is_plain(&self) -> bool {
        self.momentum.is_none() && self.transforms.is_empty()
    }

    /// Whether another try would be another attack.
    fn is_random(&self) -> bool {
        let momentum = self.momentum.as_ref();
        self.random_start
            || momentum.is_some_and(|momentum| momentum.is_random())
            || self.transforms.iter().any(|one| one.is_random())
    }

    /// Whether the model answers to each step's own point, so that it can be said which was the first that succeeded.
    fn looks_where_it_is(&self) -> bool {
        let momentum = self.momentum.as_ref();
        self.transforms.is_empty() && momentum.is_none_or(|momentum| momentum.looks_where_it_is())
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

    /// Whether images may leave before the last step. On a card, where nothing is waited for, only if they are asked to.
    fn is_left_early(&self, victim: &Victim<'_>) -> bool {
        let is_here = victim.network.device().is_cpu();
        self.is_plain() && (self.early_stop || is_here && self.k >= MANY)
    }

    /// The attack in all its steps. Where there are `steps`, they become, per image, the number of gradients before the first of
    /// a point to which the answer is what the attack wants.
    pub(super) fn perturb_all(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        steps: Option<&mut [usize]>,
    ) -> Result<Tensor> {
        let labels = originals.labels;
        let target_classes = self.target_classes(victim, originals)?;
        let target_classes = target_classes.as_deref();
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
        self.perturb_up(victim, originals, &gradient_at)
    }

    /// The steps up whatever has the gradient `gradient_at`, of images where the network is.
    pub(super) fn perturb_up(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        gradient_at: &GradientAt<'_>,
    ) -> Result<Tensor> {
        // From the first step to the last where the network is.
        let images = &bring(originals.images, victim.network.device())?;
        let x = self.first(images, originals)?;
        let moved = Originals {
            images,
            ..originals
        };
        let x = self.walk(moved, x, gradient_at)?;
        Ok(x.to_device(originals.images.device())?)
    }
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

    fn steps(&self) -> Option<&Steps> {
        Some(self)
    }

    fn restarts(&self) -> usize {
        if self.is_random() { self.restarts } else { 1 }
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        if self.is_left_early(victim) {
            return Ok(self.perturb_leaving(victim, originals)?.0);
        }
        self.perturb_all(victim, originals, None)
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
        if !self.looks_where_it_is() {
            return Ok((self.perturb_all(victim, originals, None)?, None));
        }
        let mut steps = vec![self.k; originals.labels.len()];
        let images = self.perturb_all(victim, originals, Some(&mut steps))?;
        Ok((images, Some(steps)))
    }
}
