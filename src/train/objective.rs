//! What a training minimises.

use candle_core::Tensor;

use super::{Adversary, Awp};
use crate::attacks::{Attack, Checks};
use crate::data::Batch;
use crate::nn::{BackwardPlan, Coordinates, Gradients, Mode, Network, Pass, Tape, Var, replay};
use crate::ops::cross_entropy::{self, Losses, Second, Targets};
use crate::ops::device::bring;
use crate::{Error, Result};

/// A loss of a network on a batch, with the gradients of the weights that lower it.
///
/// The implementing type holds the objective's own settings.
pub trait Objective: Send + Sync {
    /// The images that the loss is taken on, made for the network as it is, and their checks: those of the batch, where
    /// nothing else is said.
    fn craft(&self, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        Ok((step.batch.images.clone(), Checks::default()))
    }

    /// The loss and its gradients on the batch of a step, whose images of [`Objective::craft`] are `crafted`. On a card
    /// nothing is waited for.
    fn loss(&self, step: &Step<'_>, crafted: &Tensor) -> Result<Evaluated>;

    /// One after the other.
    fn evaluate(&self, step: &Step<'_>) -> Result<Evaluated> {
        let (crafted, checks) = self.craft(step)?;
        let found = self.loss(step, &crafted)?;
        Ok(Evaluated { checks, ..found })
    }

    /// Whether the objective trains on adversarial images, and so needs an attack.
    fn attacks(&self) -> bool {
        false
    }

    /// How many updates follow one another on each batch.
    fn updates(&self) -> usize {
        1
    }

    /// Moves what the objective keeps from update to update, after one that followed `found`.
    fn updated(&self, _step: &Step<'_>, _found: &Evaluated) -> Result<()> {
        Ok(())
    }

    /// Whether it takes batches whose images were mixed in pairs and have two labels each.
    fn takes_mixed(&self) -> bool {
        false
    }

    /// Refuses an attack that cannot make the images of the objective, which the network answers in `mode` meanwhile.
    fn check_attack(&self, _attack: &dyn Attack, _mode: Mode) -> Result<()> {
        Ok(())
    }
}

/// What an objective has at hand in a step.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    pub network: &'a Network,
    /// Which activations are linear backwards in the gradients of the weights.
    pub plan: &'a BackwardPlan,
    pub batch: &'a Batch,
    /// Where in the training the step is: random numbers are a function of it.
    pub at: Coordinates,
    /// What makes adversarial images; none in a training on clean images alone.
    pub adversary: Option<&'a Adversary>,
    /// The share of each target that all classes have in equal parts.
    pub smoothing: f64,
    /// What moves the weights while the gradients are taken.
    pub awp: Option<&'a Awp>,
}

/// What an objective found on a batch.
pub struct Evaluated {
    /// Of the mean loss, with respect to the weights.
    pub gradients: Gradients,
    /// The logits `(N, classes)` by which right predictions are counted.
    pub logits: Tensor,
    /// The loss of each example.
    pub losses: Losses,
    /// The parts of an objective that has several, by name: the sum over the examples, float64 `()`, where the network
    /// computes.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Those of the images that the network was trained on, by [`Objective::evaluate`].
    pub checks: Checks,
}

impl<'a> Step<'a> {
    /// A step on clean images, of hard labels.
    pub fn new(
        network: &'a Network,
        plan: &'a BackwardPlan,
        batch: &'a Batch,
        at: Coordinates,
    ) -> Self {
        Self {
            network,
            plan,
            batch,
            at,
            adversary: None,
            smoothing: 0.0,
            awp: None,
        }
    }

    /// What the images of the batch are to be taken for.
    pub fn targets(&self) -> Targets<'a> {
        Targets {
            labels: &self.batch.label_values,
            second: self.batch.mixed.as_ref().map(|mixed| Second {
                labels: &mixed.others,
                weights: &mixed.weights,
            }),
            smoothing: self.smoothing,
        }
    }

    /// A forward pass of images `(N, C, H, W)` in training mode, and its tape.
    pub fn forward(&self, images: &Tensor) -> Result<(Tape, Var)> {
        let images = bring(images, self.network.device())?;
        let tape = Tape::new(Pass::training(self.plan.clone(), self.at));
        let logits = self.network.forward(&tape, &tape.input(&images))?;
        Ok((tape, logits))
    }

    /// The mean cross-entropy of images with the targets of the batch.
    pub fn cross_entropy(&self, images: &Tensor) -> Result<Evaluated> {
        let targets = self.targets();
        let (network, at) = (self.network, self.at);
        let moved = bring(images, network.device())?;
        if let Some(found) = replay::training(network, self.plan, &moved, targets, at)? {
            return Ok(Evaluated {
                gradients: found.gradients,
                logits: found.logits,
                losses: found.losses,
                parts: Vec::new(),
                checks: Checks::default(),
            });
        }
        let (tape, logits) = self.forward(&moved)?;
        let weight = 1.0 / targets.labels.len().max(1) as f64;
        let (losses, gradient) = cross_entropy::queue(logits.tensor(), targets, weight)?;
        Ok(Evaluated {
            gradients: tape.backward(&logits, gradient)?,
            logits: logits.tensor().clone(),
            losses,
            parts: Vec::new(),
            checks: Checks::default(),
        })
    }

    /// Images that the stage's attack makes of those of the batch, and their checks.
    ///
    /// # Errors
    /// A training without an attack.
    pub fn attacked(&self) -> Result<(Tensor, Checks)> {
        let adversary = self.adversary()?;
        adversary.craft(adversary.attack.as_ref(), self)
    }

    /// What makes the adversarial images.
    ///
    /// # Errors
    /// A training without an attack.
    pub fn adversary(&self) -> Result<&'a Adversary> {
        self.adversary
            .ok_or_else(|| Error::failed("adversarial images were asked for without an attack"))
    }
}
