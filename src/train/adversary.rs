//! What makes the adversarial images of a training.

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;

use super::Step;
use crate::attacks::{Attack, Checks, Originals, Start, Victim, craft};
use crate::nn::{BackwardPlan, Mode, Param};
use crate::run::interrupt;
use crate::{Error, Result};

/// Tells the random starts of training from those of evaluations in the same epoch.
const ROUND: u16 = 0;

/// An attack on the network in training.
pub struct Adversary {
    pub attack: Box<dyn Attack>,
    /// Which activations are linear backwards in the gradients of the images.
    pub plan: BackwardPlan,
    /// The mode in which the network answers meanwhile.
    pub mode: Mode,
    /// See [`Self::kept`].
    perturbation: Mutex<Option<Tensor>>,
}

impl Adversary {
    /// An attack that has perturbed nothing yet.
    pub fn new(attack: Box<dyn Attack>, plan: BackwardPlan, mode: Mode) -> Self {
        Self {
            attack,
            plan,
            mode,
            perturbation: Mutex::default(),
        }
    }

    /// The perturbation that an objective goes on with from batch to batch, `(batch size, C, H, W)`, where it keeps one: part
    /// of the training's state.
    pub fn kept(&self) -> Option<Tensor> {
        let kept = self.perturbation.lock();
        kept.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a perturbation.
    pub fn keep(&self, perturbation: Tensor) {
        let kept = self.perturbation.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = Some(perturbation);
    }

    /// Images that `attack` makes of a step's batch, inside its threat model. Interrupted, it leaves the network as it was.
    pub fn craft(&self, attack: &dyn Attack, step: &Step<'_>) -> Result<(Tensor, Checks)> {
        let &Step {
            network, batch, at, ..
        } = step;
        let victim = Victim {
            mode: self.mode,
            at,
            check: interrupt::check,
            ..Victim::new(network, self.plan.clone())
        };
        let start = Start {
            seed: at.seed,
            epoch: at.epoch,
            round: ROUND,
            ..Start::default()
        };
        let originals = Originals::new(&batch.images, &batch.label_values, &batch.indices, start);
        // An attack on a network in training mode moves its running statistics.
        let moving = match self.mode {
            Mode::Eval => &[],
            Mode::Train => network.buffers(),
        };
        let before = moving.iter().map(Param::snapshot);
        let before: Vec<Tensor> = before.collect::<Result<_>>()?;
        let crafted = craft(attack, &victim, originals);
        if let Err(Error::Interrupted) = crafted {
            // The batch is dropped: the checkpoint that follows is that of a network which has not seen it.
            for (buffer, values) in moving.iter().zip(&before) {
                buffer.set(values)?;
            }
        }
        crafted
    }
}
