//! What a forward pass computed, layer by layer, so that a network can be written down for another program.
//!
//! Layers say it on a tape that asks (`Tape::traced`), beside what they record for the way back: what is written down is
//! what was computed. Values are numbered as on the tape; all that depend on the images have a number.

use candle_core::{DType, Tensor};

use super::activation::Act;
use super::batch_norm::BatchNorm2d;
use super::conv::Conv2d;
use super::linear::Linear;
use super::network::Network;
use super::tape::Tape;
use crate::ops::image::Normalize;
use crate::ops::pool::{Average, Window};
use crate::{Error, Result};

/// What is computed of a value `(N, C, H, W)` or `(N, numbers)`.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `(x - mean) / std` of each channel of the images.
    Normalize(Normalize),
    /// `x * scale + shift` for each channel, with numbers that are no parameters, `(C)` each.
    Scale(Tensor, Tensor),
    Conv(Conv2d),
    /// With the running statistics.
    Norm(BatchNorm2d),
    Linear(Linear),
    Activation(Act),
    /// The sum with the next of the inputs.
    Add,
    /// All inputs, one after the other along channels.
    Concatenate,
    /// Channels of zeros before and after the input's.
    MoreChannels(usize, usize),
    /// Rows of zeros below and columns of zeros to the right.
    Border(usize),
    MaxPool(Window),
    AveragePool(Average),
    /// To a row, channel by channel.
    Flatten,
}

/// What a layer computed.
#[derive(Debug)]
pub struct Traced {
    /// The values that it took.
    pub inputs: Vec<usize>,
    /// The shape of the first of them in memory: `(N, H, W, C)` or `(N, numbers)`.
    pub dims: Vec<usize>,
    /// What was computed, the first of the first input, each further one of what the one before gave.
    pub operations: Vec<Operation>,
    /// The value that it made.
    pub output: usize,
}

/// A forward pass.
#[derive(Debug)]
pub struct Trace {
    /// In the order of the pass.
    pub layers: Vec<Traced>,
    /// The images.
    pub input: usize,
    /// The logits.
    pub output: usize,
    pub classes: usize,
}

impl Network {
    /// What a forward pass in evaluation mode computes of images of shape (channels, height, width).
    ///
    /// # Errors
    /// Images that the network does not take.
    pub fn trace(&self, [channels, height, width]: [usize; 3]) -> Result<Trace> {
        let dtype = match self.parameters() {
            [first, ..] => first.tensor().dtype(),
            [] => DType::F32,
        };
        let images = Tensor::zeros((1, channels, height, width), dtype, self.device())?;
        let tape = Tape::traced();
        let images = tape.input(&images);
        let logits = self.forward(&tape, &images)?;
        let (_, classes) = logits.tensor().dims2()?;
        let (Some(input), Some(output)) = (images.id(), logits.id()) else {
            return Err(Error::failed("the logits do not depend on the images"));
        };
        Ok(Trace {
            layers: tape.into_trace(),
            input,
            output,
            classes,
        })
    }
}
