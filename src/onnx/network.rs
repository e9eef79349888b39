//! A graph as layers on the tape.

use candle_core::Tensor;

use crate::nn::gradients::Grad;
use crate::nn::pool::{adaptive_average_pool, average_pool, max_pool};
use crate::nn::structure::{add, concatenate, flatten, more_channels};
use crate::nn::trace::Operation;
use crate::nn::{Act, BatchNorm2d, Conv2d, Dropout, Linear, Module, Tape, Var};
use crate::ops::activation::Activation;
use crate::ops::batch_norm as norm;
use crate::ops::pool::Window;
use crate::{Error, Result};

/// What a step computes from its inputs.
pub enum Layer {
    Conv(Conv2d),
    /// Of the first input; with a second one that is added before the activation.
    Norm(BatchNorm2d, Option<Act>),
    Linear(Linear),
    Scale(Scale),
    Act(Act),
    Add,
    /// Along channels.
    Join,
    /// Zero channels before and after the input's.
    MoreChannels(usize, usize),
    MaxPool(Window),
    AveragePool {
        kernel: usize,
        stride: usize,
    },
    /// Means over so many cells.
    Means(usize, usize),
    Flatten,
    Dropout(Dropout),
}

/// `x * scale + shift` for each channel, with numbers that training leaves alone: a normalisation of images.
pub struct Scale {
    pub scale: Tensor,
    pub shift: Tensor,
    pub zero: Tensor,
    pub one: Tensor,
}

impl Scale {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        // A batch norm that standardises nothing.
        let affine = norm::Affine {
            gamma: &self.scale,
            beta: &self.shift,
            running_mean: &self.zero,
            running_var: &self.one,
            eps: 0.0,
        };
        let (y, saved) = norm::evaluate(x.tensor(), &affine, None, Activation::Identity)?;
        let (id, input) = (x.id(), x.tensor().clone());
        let y = tape.record(y, id.is_some(), move |dy, gradients| {
            let found = norm::backward(dy.tensor(), &input, &saved, true, true, false)?;
            match found.input {
                Some(dx) => gradients.add(id, Grad::new(dx)),
                None => Ok(()),
            }
        });
        tape.trace(&y, [x], || {
            vec![Operation::Scale(self.scale.clone(), self.shift.clone())]
        });
        Ok(y)
    }
}

/// A layer, the values that it takes and the one that it makes, by their numbers.
pub struct Step {
    pub layer: Layer,
    pub inputs: Vec<usize>,
    pub output: usize,
    /// The values that nothing needs after it.
    pub last: Vec<usize>,
}

/// The layers in order. Value 0 is the images.
pub struct Steps {
    steps: Vec<Step>,
    values: usize,
    output: usize,
}

impl Steps {
    /// Steps that each take values made before them; the last value needed is `output`.
    pub fn new(mut steps: Vec<Step>, values: usize, output: usize) -> Self {
        let mut needed = vec![false; values];
        needed[output] = true;
        for step in steps.iter_mut().rev() {
            for &value in &step.inputs {
                if !std::mem::replace(&mut needed[value], true) {
                    step.last.push(value);
                }
            }
        }
        Self {
            steps,
            values,
            output,
        }
    }
}

impl Module for Steps {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut values: Vec<Option<Var>> = vec![None; self.values];
        values[0] = Some(x.clone());
        for step in &self.steps {
            let inputs: Option<Vec<Var>> = step.inputs.iter().map(|&v| values[v].clone()).collect();
            let inputs = inputs.ok_or_else(missing)?;
            // What only this step needs is released as soon as the step lets go of it.
            for &value in &step.last {
                values[value] = None;
            }
            values[step.output] = Some(step.layer.forward(tape, &inputs)?);
        }
        values[self.output].take().ok_or_else(missing)
    }
}

fn missing() -> Error {
    Error::failed("a value of an ONNX network is used before it is computed")
}

impl Layer {
    fn forward(&self, tape: &Tape, inputs: &[Var]) -> Result<Var> {
        let (x, other) = match inputs {
            [x] => (x, None),
            [x, other, ..] => (x, Some(other)),
            [] => return Err(missing()),
        };
        match self {
            Self::Conv(conv) => conv.forward(tape, x),
            Self::Norm(norm, act) => match (other, act) {
                (None, None) => norm.forward(tape, x),
                (None, Some(act)) => norm.forward_act(tape, x, act),
                (Some(other), None) => norm.forward_add(tape, x, other),
                (Some(other), Some(act)) => norm.forward_add_act(tape, x, other, act),
            },
            Self::Linear(linear) => linear.forward(tape, x),
            Self::Scale(scale) => scale.forward(tape, x),
            Self::Act(act) => act.forward(tape, x),
            Self::Add => add(tape, x, other.ok_or_else(missing)?),
            Self::Join => concatenate(tape, inputs),
            Self::MoreChannels(before, after) => more_channels(tape, x, *before, *after),
            Self::MaxPool(window) => {
                max_pool(tape, x, window.kernel, window.stride, window.padding)
            }
            Self::AveragePool { kernel, stride } => average_pool(tape, x, *kernel, *stride),
            Self::Means(rows, columns) => adaptive_average_pool(tape, x, *rows, *columns),
            Self::Flatten => flatten(tape, x),
            Self::Dropout(dropout) => dropout.forward(tape, x),
        }
    }
}
