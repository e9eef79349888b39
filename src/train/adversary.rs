//! What makes the adversarial images of a training.

use candle_core::Tensor;

use super::Step;
use crate::attacks::{Attack, Checks, Originals, Start, Victim, craft};
use crate::nn::{LinearPlan, Mode, Param};
use crate::run::interrupt;
use crate::{Error, Result};

/// Tells the random starts of training from those of evaluations in the same epoch.
const ROUND: u16 = 0;

/// An attack on the network in training.
pub struct Adversary {
    pub attack: Box<dyn Attack>,
    /// Which activations are linear backwards in the gradients of the images.
    pub plan: LinearPlan,
    /// The mode in which the network answers meanwhile.
    pub mode: Mode,
}

impl Adversary {
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
        let originals = Originals {
            images: &batch.images,
            labels: &batch.label_values,
            indices: &batch.indices,
            start: Start {
                seed: at.seed,
                epoch: at.epoch,
                round: ROUND,
                ..Start::default()
            },
        };
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
