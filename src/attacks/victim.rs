//! What an attack may ask of a model: logits, and gradients with respect to the images.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor};

use super::Objective;
use super::craft::predictions;
use super::objective::Recorded;
use crate::nn::loss::Loss;
use crate::nn::{BackwardPlan, Coordinates, Mode, Network, Pass, Tape, replay};
use crate::ops::Real;
use crate::ops::device::{bring, enter_for};
use crate::ops::real::view;
use crate::{Error, Result, with_real};

/// A model under attack. White-box attacks differentiate through it, by BP or LinBP as the plan says.
pub struct Victim<'a> {
    pub network: &'a Network,
    /// What the model is called in errors: which it is and where its weights are from.
    pub name: String,
    /// Which activations are linear backwards.
    pub plan: BackwardPlan,
    /// The mode in which the model answers while it is attacked.
    pub mode: Mode,
    pub at: Coordinates,
    /// Called before every pass: an error from it, such as that the user interrupts, ends the attack.
    pub check: fn() -> Result<()>,
    /// What it was asked so far.
    pub passes: PassCounts,
    /// Those of an ensemble by losses, whose mean `network` is: the gradient of an objective is then the mean of theirs.
    pub members: Vec<Self>,
}

/// Images that went through a model, each as often as it did.
#[derive(Debug, Default)]
pub struct PassCounts {
    forward: AtomicU64,
    gradients: AtomicU64,
}

impl PassCounts {
    /// Images whose logits alone, and images whose gradients were asked for.
    pub fn get(&self) -> [u64; 2] {
        [&self.forward, &self.gradients].map(|count| count.load(Ordering::Relaxed))
    }

    fn add(count: &AtomicU64, images: &Tensor) {
        let n = images.dims().first().copied().unwrap_or(0);
        count.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// A gradient with respect to the images, and what came with it.
pub struct Ascent {
    pub logits: Tensor,
    pub loss: Loss,
    /// Shape of the images.
    pub gradient: Tensor,
}

impl Victim<'_> {
    /// A victim in evaluation mode.
    pub fn new(network: &Network, plan: BackwardPlan) -> Victim<'_> {
        Victim {
            network,
            name: "the model".to_owned(),
            plan,
            mode: Mode::Eval,
            at: Coordinates::default(),
            check: || Ok(()),
            passes: PassCounts::default(),
            members: Vec::new(),
        }
    }

    /// Logits of images, in evaluation mode.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        self.count_forward(images)?;
        self.network.logits(images)
    }

    /// What comes before a pass without gradients.
    pub(super) fn count_forward(&self, images: &Tensor) -> Result<()> {
        (self.check)()?;
        PassCounts::add(&self.passes.forward, images);
        Ok(())
    }

    /// What comes before a pass for gradients.
    pub(super) fn count_gradients(&self, images: &Tensor) -> Result<()> {
        (self.check)()?;
        PassCounts::add(&self.passes.gradients, images);
        Ok(())
    }

    /// The pass of its gradients with respect to the images.
    pub(super) fn pass(&self) -> Pass {
        Pass::attack(self.plan.clone(), self.mode, self.at)
    }

    /// Logits that something is counted by, in evaluation mode, of `images`, which `what` says in an error with their
    /// positions `indices` in the data set.
    ///
    /// # Errors
    /// A logit that is not finite: an answer could be read off it all the same, and would mean nothing.
    pub fn sound_logits(&self, images: &Tensor, indices: &[usize], what: &str) -> Result<Tensor> {
        let logits = self.logits(images)?;
        let (_, classes) = logits.dims2()?;
        with_real!(logits.dtype(), T => {
            let here = logits.to_device(&Device::Cpu)?;
            let values = &*view::<T>(&here)?;
            match values.iter().position(|value| !value.wide().is_finite()) {
                None => Ok(()),
                Some(position) => Err(Error::failed(format!(
                    "{}: its logits of {what} {} are not finite ({}): its weights are damaged, or those of a training that \
                     diverged; take others",
                    self.name,
                    indices[position / classes],
                    values[position]
                ))),
            }
        })?;
        Ok(logits)
    }

    /// The gradient of the sum of a loss of the logits. An example's gradient does not depend on the others.
    pub fn gradient(
        &self,
        images: &Tensor,
        loss: impl FnOnce(&Tensor) -> Result<Loss> + Send,
    ) -> Result<Ascent> {
        let mut seen = None;
        let gradient = self.input_gradient(images, |logits| {
            let loss = loss(logits)?;
            let start = loss.gradient.clone();
            seen = Some((logits.clone(), loss));
            Ok(start)
        })?;
        let (logits, loss) =
            seen.ok_or_else(|| Error::failed("a pass ended without having a loss"))?;
        Ok(Ascent {
            logits,
            loss,
            gradient,
        })
    }

    /// The gradient with respect to the images alone, of whatever has the gradient with respect to the logits that `logit_gradient` computes from them.
    /// Logits and their gradient lie where the images do and have their type; where that is a card, nothing is waited for.
    pub fn input_gradient(
        &self,
        images: &Tensor,
        logit_gradient: impl FnOnce(&Tensor) -> Result<Tensor> + Send,
    ) -> Result<Tensor> {
        self.refuse_members()?;
        self.count_gradients(images)?;
        let (here, there) = (images.device(), self.network.device());
        let x = bring(images, there)?;
        let gradient = enter_for(there, || -> Result<Tensor> {
            let tape = Tape::new(self.pass());
            let logits = self.network.forward(&tape, &tape.input(&x))?;
            let found = logits.tensor();
            let logit_gradient = logit_gradient(&found.to_dtype(images.dtype())?.to_device(here)?)?;
            let logit_gradient = logit_gradient.to_device(there)?.to_dtype(found.dtype())?;
            tape.backward(&logits, logit_gradient)?.input()
        })?;
        Ok(gradient.to_device(here)?)
    }

    /// The gradient of an objective's sum with respect to the images, which an attack ascends. Nothing of a card is waited
    /// for.
    pub(super) fn objective_gradient(
        &self,
        images: &Tensor,
        objective: Objective,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Tensor> {
        if !self.members.is_empty() {
            return Ok(self
                .ascend(images, objective, labels, target_classes)?
                .gradient);
        }
        let is_here = images.device().same_device(self.network.device());
        if is_here
            && let Some((gradient, _)) =
                self.recorded(images, objective.recorded(labels, target_classes))?
        {
            return Ok(gradient);
        }
        self.input_gradient(images, |logits| {
            objective.logit_gradient(logits, labels, target_classes)
        })
    }

    /// The same with the model's answers to the images, which a card is waited for.
    pub(super) fn answered_gradient(
        &self,
        images: &Tensor,
        objective: Objective,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<(Tensor, Vec<u32>)> {
        if !self.members.is_empty() {
            let ascent = self.ascend(images, objective, labels, target_classes)?;
            return Ok((ascent.gradient, predictions(&ascent.logits)?));
        }
        let is_here = images.device().same_device(self.network.device());
        if is_here
            && let Some((gradient, logits)) =
                self.recorded(images, objective.recorded(labels, target_classes))?
        {
            return Ok((gradient, predictions(&logits)?));
        }
        let mut answers = Vec::new();
        let gradient = self.input_gradient(images, |logits| {
            answers = predictions(logits)?;
            objective.logit_gradient(logits, labels, target_classes)
        })?;
        Ok((gradient, answers))
    }

    /// The same with the logits and the objective of each example, which a card is waited for.
    pub(super) fn ascend(
        &self,
        images: &Tensor,
        objective: Objective,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Ascent> {
        if let Some(mean) = self.mean_of_members(images, |member| {
            member.ascend(images, objective, labels, target_classes)
        })? {
            return Ok(mean);
        }
        let (here, x) = (images.device(), bring(images, self.network.device())?);
        let recorded = self.recorded(&x, objective.recorded(labels, target_classes))?;
        let Some((gradient, logits)) = recorded else {
            return self.gradient(images, |logits| {
                objective.evaluate(logits, labels, target_classes)
            });
        };
        // A few numbers for each example: brought here once, and looked at here.
        let logits = logits.to_device(&Device::Cpu)?;
        Ok(Ascent {
            loss: objective.evaluate(&logits, labels, target_classes)?,
            logits,
            gradient: gradient.to_device(here)?,
        })
    }

    /// The mean of what each member of an ensemble by losses gives; none where there are no members.
    fn mean_of_members(
        &self,
        images: &Tensor,
        of: impl Fn(&Self) -> Result<Ascent>,
    ) -> Result<Option<Ascent>> {
        let Some((first, others)) = self.members.split_first() else {
            return Ok(None);
        };
        self.count_gradients(images)?;
        let mut sum = of(first)?;
        for member in others {
            let next = of(member)?;
            sum.logits = (sum.logits + next.logits)?;
            sum.gradient = (sum.gradient + next.gradient)?;
            sum.loss.gradient = (sum.loss.gradient + next.loss.gradient)?;
            let losses = sum.loss.per_example.iter_mut();
            losses.zip(next.loss.per_example).for_each(|(a, b)| *a += b);
        }
        let share = 1.0 / self.members.len() as f64;
        let losses = sum.loss.per_example.iter();
        Ok(Some(Ascent {
            logits: (sum.logits * share)?,
            gradient: (sum.gradient * share)?,
            loss: Loss {
                per_example: losses.map(|loss| share * loss).collect(),
                gradient: (sum.loss.gradient * share)?,
            },
        }))
    }

    /// # Errors
    /// An ensemble by losses: each member would have a gradient of its own.
    pub(super) fn refuse_members(&self) -> Result<()> {
        match self.members.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(format!(
                "{}: attacks on features, and fmn, are made on an ensemble by logits alone: set its mean to \"logits\"",
                self.name
            ))),
        }
    }

    /// Gradient and logits by a pass that the network's card has recorded, where there is one for images there.
    fn recorded(&self, images: &Tensor, loss: Recorded<'_>) -> Result<Option<(Tensor, Tensor)>> {
        if self.mode != Mode::Eval {
            return Ok(None);
        }
        (self.check)()?;
        let found = replay::ascent(self.network, &self.plan, images, loss)?;
        if found.is_some() {
            PassCounts::add(&self.passes.gradients, images);
        }
        Ok(found)
    }

    /// The gradient of the cross-entropy with the true labels, which an untargeted attack ascends.
    pub fn cross_entropy_gradient(&self, images: &Tensor, labels: &[u32]) -> Result<Tensor> {
        Ok(self
            .ascend(images, Objective::CrossEntropy, labels, None)?
            .gradient)
    }
}
