//! Features: the output of one of a network's activations, by its index, `(N, H, W, C)` or `(N, numbers)` as layers have it.

use candle_core::Tensor;

use super::network::Network;
use super::pass::{Pass, Tap};
use super::tape::{Tape, Var};
use crate::{Error, Result};

impl Network {
    /// The features of images `(N, C, H, W)` by a pass that ends there, and its tape.
    ///
    /// # Errors
    /// A pass that does not come to the activation.
    pub fn features(&self, pass: Pass, images: &Tensor, activation: usize) -> Result<(Tape, Var)> {
        let tape = Tape::new(Pass {
            tap: Some(Tap::End(activation)),
            ..pass
        });
        let passed = self.forward(&tape, &tape.input(images));
        match (tape.features(), passed) {
            (Some(features), _) => Ok((tape, features)),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(missed(activation)),
        }
    }

    /// The features of images, and what comes of them: their gradient is that of the whole of the images' that goes through this
    /// activation.
    ///
    /// # Errors
    /// A pass that does not come to the activation.
    pub fn from_features(
        &self,
        pass: Pass,
        images: &Tensor,
        activation: usize,
    ) -> Result<(Tape, Var)> {
        let tape = Tape::new(Pass {
            input: false,
            tap: Some(Tap::Start(activation)),
            ..pass
        });
        let logits = self.forward(&tape, &tape.input(images))?;
        match tape.features() {
            Some(_) => Ok((tape, logits)),
            None => Err(missed(activation)),
        }
    }
}

fn missed(activation: usize) -> Error {
    Error::failed(format!("a pass has no activation of index {activation}"))
}
