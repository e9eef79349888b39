//! What attacks on features ask of a model: the output of one of its activations, by name, and gradients there and from there.
//!
//! Features are `(N, H, W, C)`, or `(N, numbers)` behind the flattening, and lie where the images do and have their type.

use candle_core::Tensor;

use super::Victim;
use crate::models::unmatched;
use crate::nn::Pass;
use crate::ops::device::{bring, enter_for};
use crate::{Error, Result};

/// The index of an activation of a network, by the name that `key` gives it.
///
/// # Errors
/// A name that the network does not have.
pub(crate) fn activation(key: &str, name: &str, names: &[String]) -> Result<usize> {
    let index = names.iter().position(|known| known == name);
    index.ok_or_else(|| unmatched(key, name, names))
}

impl Victim<'_> {
    /// The features of images at the activation of this name, in the victim's mode. What lies behind it is not computed.
    pub fn features(&self, images: &Tensor, layer: &str) -> Result<Tensor> {
        self.refuse_members()?;
        let activation = self.activation(layer)?;
        self.count_forward(images)?;
        let x = bring(images, self.network.device())?;
        enter_for(self.network.device(), || {
            let pass = Pass {
                input: false,
                ..self.pass()
            };
            let (_, features) = self.network.features(pass, &x, activation)?;
            Ok(back(features.tensor(), images)?)
        })
    }

    /// The gradient with respect to the images, by BP or LinBP as the plan says, of whatever has the gradient with respect to the
    /// features that `feature_gradient` computes from them. What lies behind the features is not computed.
    pub fn gradient_through_features(
        &self,
        images: &Tensor,
        layer: &str,
        feature_gradient: impl FnOnce(&Tensor) -> Result<Tensor> + Send,
    ) -> Result<Tensor> {
        self.refuse_members()?;
        let activation = self.activation(layer)?;
        self.count_gradients(images)?;
        let there = self.network.device();
        let x = bring(images, there)?;
        let gradient = enter_for(there, || -> Result<Tensor> {
            let (tape, features) = self.network.features(self.pass(), &x, activation)?;
            let found = features.tensor();
            let gradient = feature_gradient(&back(found, images)?)?;
            let gradient = gradient.to_device(there)?.to_dtype(found.dtype())?;
            tape.backward(&features, gradient)?.input()
        })?;
        Ok(gradient.to_device(images.device())?)
    }

    /// The gradient with respect to the features of images, `(N, H, W, C)` or `(N, numbers)`, of whatever has the gradient with
    /// respect to the logits that `logit_gradient` computes from them.
    pub fn feature_gradient(
        &self,
        images: &Tensor,
        layer: &str,
        logit_gradient: impl FnOnce(&Tensor) -> Result<Tensor> + Send,
    ) -> Result<Tensor> {
        self.refuse_members()?;
        let activation = self.activation(layer)?;
        self.count_gradients(images)?;
        let there = self.network.device();
        let x = bring(images, there)?;
        enter_for(there, || {
            let (tape, logits) = self.network.from_features(self.pass(), &x, activation)?;
            let found = logits.tensor();
            let gradient = logit_gradient(&back(found, images)?)?;
            let gradient = gradient.to_device(there)?.to_dtype(found.dtype())?;
            let gradient = tape.backward(&logits, gradient)?.input()?;
            Ok(back(&gradient, images)?)
        })
    }

    /// The name of the activation whose features an attack works on: the given one, or that in the middle of the network's list.
    ///
    /// # Errors
    /// A network without activations.
    pub(super) fn layer_or_middle<'l>(&'l self, layer: Option<&'l str>) -> Result<&'l str> {
        let names = self.network.activations();
        let layer = layer.or_else(|| names.get(names.len() / 2).map(String::as_str));
        layer.ok_or_else(|| {
            Error::failed(format!(
                "{}: has no activation whose features could be attacked; choose another attack",
                self.name
            ))
        })
    }

    fn activation(&self, layer: &str) -> Result<usize> {
        activation("layer", layer, self.network.activations())
            .map_err(|error| Error::failed(format!("{}: {error}", self.name)))
    }
}

/// A tensor of a network's pass where the images lie, in their type.
fn back(tensor: &Tensor, images: &Tensor) -> candle_core::Result<Tensor> {
    tensor.to_dtype(images.dtype())?.to_device(images.device())
}
