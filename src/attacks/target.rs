//! What an attack may ask of a model: logits, and gradients with respect to the images.

use candle_core::Tensor;

use crate::nn::loss::{Loss, Reduction, cross_entropy};
use crate::nn::{Coordinates, LinearPlan, Mode, Network, Pass, Tape};
use crate::ops::real::view;
use crate::ops::{Real, parallel};
use crate::{Error, Result, with_real};

/// A model under attack. White-box attacks differentiate through it, by BP or LinBP as the plan says.
pub struct Target<'a> {
    pub network: &'a Network,
    /// What the model is called in errors: which it is and where its weights are from.
    pub name: String,
    /// Which activations are linear backwards.
    pub plan: LinearPlan,
    /// The mode in which the model answers while it is attacked.
    pub mode: Mode,
    pub at: Coordinates,
    /// Called before every pass: an error from it, such as that the user interrupts, ends the attack.
    pub check: fn() -> Result<()>,
}

/// A gradient with respect to the images, and what came with it.
pub struct Ascent {
    pub logits: Tensor,
    pub loss: Loss,
    /// Shape of the images.
    pub gradient: Tensor,
}

impl Target<'_> {
    /// A target in evaluation mode.
    pub fn new(network: &Network, plan: LinearPlan) -> Target<'_> {
        Target {
            network,
            name: "the model".to_owned(),
            plan,
            mode: Mode::Eval,
            at: Coordinates::default(),
            check: || Ok(()),
        }
    }

    /// Logits of images, in evaluation mode.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        (self.check)()?;
        self.network.logits(images)
    }

    /// Logits that something is counted by, in evaluation mode, of `images`, which `what` says in an error with their
    /// places `indices` in the data set.
    ///
    /// # Errors
    /// A logit that is not finite: an answer could be read off it all the same, and would mean nothing.
    pub fn sound_logits(&self, images: &Tensor, indices: &[usize], what: &str) -> Result<Tensor> {
        let logits = self.logits(images)?;
        let (_, classes) = logits.dims2()?;
        with_real!(logits.dtype(), T => {
            let values = &*view::<T>(&logits)?;
            match values.iter().position(|value| !value.wide().is_finite()) {
                None => Ok(()),
                Some(place) => Err(Error::failed(format!(
                    "{}: its logits of {what} {} are not finite ({}): its weights are damaged, or those of a training that \
                     diverged; take others",
                    self.name,
                    indices[place / classes],
                    values[place]
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
        (self.check)()?;
        parallel::enter(|| {
            let tape = Tape::new(Pass::attack(self.plan.clone(), self.mode, self.at));
            let logits = self.network.forward(&tape, &tape.input(images))?;
            let loss = loss(logits.tensor())?;
            let gradient = tape.backward(&logits, loss.gradient.clone())?.input()?;
            Ok(Ascent {
                logits: logits.tensor().clone(),
                loss,
                gradient,
            })
        })
    }

    /// The gradient of the cross-entropy with the true labels, which an untargeted attack ascends.
    pub fn cross_entropy_gradient(&self, images: &Tensor, labels: &[u32]) -> Result<Tensor> {
        let ascent = self.gradient(images, |logits| {
            cross_entropy(logits, labels, Reduction::Sum)
        })?;
        Ok(ascent.gradient)
    }
}
