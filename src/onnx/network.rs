//! A graph as layers on the tape.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::nn::arithmetic::{Operand, Spread, arithmetic, maximum, product, softmax, sum};
use crate::nn::gradients::Grad;
use crate::nn::layer_norm::layer_norm;
use crate::nn::pool::{adaptive_average_pool, average_pool, max_pool};
use crate::nn::rearrange::{Part, join, pad, part, permute, repeat, reshape};
use crate::nn::structure::{add, concatenate, flatten, more_channels};
use crate::nn::trace::Operation;
use crate::nn::{Act, BatchNorm2d, Bend, Conv2d, Dropout, Linear, Module, Tape, Var};
use crate::ops::activation::Activation;
use crate::ops::batch_norm as norm;
use crate::ops::broadcast::Arithmetic;
use crate::ops::pool::Window;
use crate::{Error, Result};

/// What a step computes from its inputs.
pub enum Layer {
    Conv(Conv2d),
    /// Of the first input; with a second one that is added before the activation.
    Norm(BatchNorm2d, Option<Act>),
    /// The two, one after the other.
    ConvNorm(Conv2d, BatchNorm2d, Option<Act>),
    /// Of the last dimension.
    Linear(Linear),
    Scale(Scale),
    Act(Act),
    Bend(Bend),
    Add,
    /// Of two values, each repeated along its sides of 1.
    Arithmetic(Arithmetic),
    /// Of a value and numbers of the file, which come first or second.
    With {
        with: With,
        how: Arithmetic,
        first: bool,
    },
    /// Over those dimensions, times a factor; they stay as sides of 1.
    Sum(Vec<usize>, f64),
    /// Over those dimensions, which stay as sides of 1.
    Maximum(Vec<usize>),
    /// Along the last dimension.
    Softmax,
    /// Of matrices.
    Product,
    /// The last dimension to mean 0 and variance 1, with this number added to the variance.
    Standardise(f64),
    /// To these sides behind the batch.
    Reshape(Vec<usize>),
    Permute(Vec<usize>),
    Part(Part),
    Pad {
        axis: usize,
        border: [usize; 2],
        value: f64,
    },
    /// Until it has these sides behind the batch.
    Repeat(Vec<usize>),
    /// Along that dimension.
    Stack(usize),
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

impl Layer {
    /// Of a value and numbers of the file that come second.
    pub fn by(with: With, how: Arithmetic) -> Self {
        Self::With {
            with,
            how,
            first: false,
        }
    }
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

/// Numbers of the file that go together with a value.
pub enum With {
    Parameter(Spread),
    /// That nothing moves, in the order of memory.
    Fixed(Tensor),
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
    /// Steps that each take values made before them; the last value needed is `output`. What it does not need is left out.
    pub fn new(mut steps: Vec<Step>, values: usize, output: usize) -> Self {
        let mut needed = vec![false; values];
        needed[output] = true;
        let mut kept = Vec::new();
        while let Some(step) = steps.pop() {
            if needed[step.output] {
                step.inputs.iter().for_each(|&value| needed[value] = true);
                kept.push(step);
            }
        }
        kept.reverse();
        let mut steps = with_norms_joined(kept);
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

/// The steps, with each batch norm that alone takes what a convolution makes as one step with it.
fn with_norms_joined(steps: Vec<Step>) -> Vec<Step> {
    let mut uses: HashMap<usize, usize> = HashMap::new();
    for &value in steps.iter().flat_map(|step| &step.inputs) {
        *uses.entry(value).or_default() += 1;
    }
    let mut joined: Vec<Option<Step>> = Vec::new();
    // Where the convolutions are, by what they make.
    let mut convs: HashMap<usize, usize> = HashMap::new();
    for mut step in steps {
        let place = match &step.layer {
            Layer::Norm(..) if uses[&step.inputs[0]] == 1 => convs.get(&step.inputs[0]),
            _ => None,
        };
        let before = place.and_then(|&place| joined[place].take());
        if let Layer::Conv(_) = &step.layer {
            convs.insert(step.output, joined.len());
        }
        step.layer = match (before, step.layer) {
            (
                Some(Step {
                    layer: Layer::Conv(conv),
                    inputs,
                    ..
                }),
                Layer::Norm(norm, act),
            ) => {
                step.inputs[0] = inputs[0];
                Layer::ConvNorm(conv, norm, act)
            }
            (_, layer) => layer,
        };
        joined.push(Some(step));
    }
    joined.into_iter().flatten().collect()
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

fn behind_batch(x: &Var, sides: &[usize]) -> Vec<usize> {
    let batch = x.dims().first().copied();
    batch.into_iter().chain(sides.iter().copied()).collect()
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
            Self::ConvNorm(conv, norm, act) => {
                conv.forward_norm(tape, x, norm, other, act.as_ref())
            }
            Self::Linear(linear) => match x.dims() {
                [_, _] => linear.forward(tape, x),
                dims => {
                    let mut sides = dims.to_vec();
                    let features = sides.pop().unwrap_or(0);
                    let rows = reshape(tape, x, &[sides.iter().product(), features])?;
                    let rows = linear.forward(tape, &rows)?;
                    sides.extend(rows.dims().last());
                    reshape(tape, &rows, &sides)
                }
            },
            Self::Scale(scale) => scale.forward(tape, x),
            Self::Act(act) => act.forward(tape, x),
            Self::Bend(bend) => bend.forward(tape, x),
            Self::Add => add(tape, x, other.ok_or_else(missing)?),
            Self::Arithmetic(how) => {
                let other = Operand::Value(other.ok_or_else(missing)?);
                arithmetic(tape, Operand::Value(x), other, *how, x.tensor().dtype())
            }
            Self::With { with, how, first } => {
                let numbers = match with {
                    With::Parameter(spread) => Operand::Parameter(spread),
                    With::Fixed(tensor) => Operand::Fixed(tensor),
                };
                let value = Operand::Value(x);
                let (a, b) = if *first {
                    (numbers, value)
                } else {
                    (value, numbers)
                };
                arithmetic(tape, a, b, *how, x.tensor().dtype())
            }
            Self::Sum(axes, factor) => sum(tape, x, axes, *factor),
            Self::Maximum(axes) => maximum(tape, x, axes),
            Self::Softmax => softmax(tape, x),
            Self::Product => product(tape, x, other.ok_or_else(missing)?),
            Self::Standardise(eps) => layer_norm(tape, x, *eps),
            Self::Reshape(sides) => reshape(tape, x, &behind_batch(x, sides)),
            Self::Permute(order) => permute(tape, x, order),
            Self::Part(which) => part(tape, x, *which),
            Self::Pad {
                axis,
                border,
                value,
            } => pad(tape, x, *axis, *border, *value),
            Self::Repeat(sides) => repeat(tape, x, &behind_batch(x, sides)),
            Self::Stack(axis) => join(tape, inputs, *axis),
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
