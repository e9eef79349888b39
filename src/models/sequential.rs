//! A network that the spec writes down, layer by layer (`model.layers`). Tensors and activations are named as in torch's
//! `nn.Sequential`, by the position of their layer: `0.weight`, `1.running_mean`. A residual block is a module of two such
//! sequences, `body` and `shortcut`, whose sum it gives: `4.body.0.weight`, `4.shortcut.0.weight`.

mod kind;
mod layer;
mod read;
mod shape;

pub use kind::{LAYER_KINDS, LayerKind};
pub use layer::Layer;
pub(super) use read::read_layers;

use super::architecture::{Architecture, ModelConfig};
use super::preset::Preset;
use crate::nn::pool::{adaptive_average_pool, average_pool, max_pool};
use crate::nn::structure::{add, flatten};
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Linear, Module, Tape, Var,
    batch_norm2d, conv2d, dropout, linear_with,
};
use crate::{Error, Result};
use layer::list;
use shape::{Shape, after, faults};

/// The name of the architecture, which a spec with layers need not say.
pub(super) const NAME: &str = "sequential";

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    layers: true,
    in_branch: Some(|activation| activation.contains(".body.")),
    ..Architecture::new(
        NAME,
        "the layers of model.layers, one after another",
        "named as torch's nn.Sequential",
        // Nobody has published a choice for a network of one's own: linbp.layers says it.
        Preset::Last(0),
        define,
    )
}];

/// Layers as the value of `model.layers`, for messages.
pub fn layers_as_text(layers: &[Layer]) -> String {
    format!("[{}]", list(layers))
}

/// The numbers that layers make of an image, where they are flat at their end.
pub fn layers_outputs(layers: &[Layer], image: [usize; 3]) -> Option<usize> {
    match after(layers, "", Shape::Image(image), &mut Vec::new()) {
        Some(Shape::Flat(count)) => Some(count),
        _ => None,
    }
}

/// A layer that is ready to run.
enum Step {
    Conv(Conv2d),
    /// With the activation that follows, which is computed in the same pass over memory.
    Norm(BatchNorm2d, Option<Act>),
    /// With the convolution before it too.
    ConvNorm(Conv2d, BatchNorm2d, Option<Act>),
    Act(Act),
    MaxPool([usize; 3]),
    AvgPool(usize, usize),
    GlobalAvgPool,
    Dropout(Dropout),
    Flatten,
    Linear(Linear),
    Residual(Chain, Chain),
}

/// Layers one after another.
struct Chain(Vec<Step>);

/// Any images and classes that the layers fit.
fn define(b: &Builder, config: &ModelConfig, _: &str) -> Result<Box<dyn Module>> {
    let Some(layers) = &config.layers else {
        return Err(Error::spec(
            "model.layers: missing; sequential is the network of its layers",
        ));
    };
    let faults = faults(layers, config.image, config.classes);
    if !faults.is_empty() {
        return Err(Error::spec(faults.join("\n")));
    }
    let (chain, _) = chain(b, layers, Shape::Image(config.image), config)?;
    Ok(Box::new(chain))
}

/// The layers where `x` enters them, and what leaves them. Their shapes fit.
fn chain(
    b: &Builder,
    layers: &[Layer],
    mut x: Shape,
    config: &ModelConfig,
) -> Result<(Chain, Shape)> {
    let mut steps = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let path = b.pp(number);
        let width = match x {
            Shape::Image([channels, ..]) => channels,
            Shape::Flat(count) => count,
        };
        let step = match *layer {
            Layer::Conv {
                out,
                kernel,
                stride,
                padding,
                groups,
                bias,
            } => {
                let config = ConvConfig {
                    stride,
                    padding,
                    groups,
                    bias,
                    init: Init::TorchDefault,
                };
                Some(Step::Conv(conv2d(&path, width, out, kernel, config)?))
            }
            Layer::BatchNorm => {
                let norm = batch_norm2d(&path, width)?;
                match steps.pop() {
                    Some(Step::Conv(conv)) => Some(Step::ConvNorm(conv, norm, None)),
                    other => {
                        steps.extend(other);
                        Some(Step::Norm(norm, None))
                    }
                }
            }
            Layer::Activation(kind) => {
                let act = b.activation(&number.to_string(), kind);
                match steps.last_mut() {
                    Some(Step::Norm(_, follows @ None) | Step::ConvNorm(_, _, follows @ None)) => {
                        *follows = Some(act);
                        None
                    }
                    _ => Some(Step::Act(act)),
                }
            }
            Layer::MaxPool {
                kernel,
                stride,
                padding,
            } => {
                b.note_max_pool();
                Some(Step::MaxPool([kernel, stride, padding]))
            }
            Layer::AvgPool { kernel, stride } => Some(Step::AvgPool(kernel, stride)),
            Layer::GlobalAvgPool => Some(Step::GlobalAvgPool),
            Layer::Dropout(rate) => {
                let rate = config.dropout.unwrap_or(rate);
                Some(Step::Dropout(dropout(&path, rate)?))
            }
            Layer::Flatten => matches!(x, Shape::Image(_)).then_some(Step::Flatten),
            Layer::Linear { out, bias } => Some(Step::Linear(linear_with(
                &path,
                width,
                out,
                Init::TorchDefault,
                bias,
            )?)),
            Layer::Residual {
                ref body,
                ref shortcut,
            } => {
                let (body, _) = chain(&path.pp("body"), body, x, config)?;
                let (shortcut, _) = chain(&path.pp("shortcut"), shortcut, x, config)?;
                Some(Step::Residual(body, shortcut))
            }
        };
        steps.extend(step);
        x = after(std::slice::from_ref(layer), "", x, &mut Vec::new()).unwrap_or(x);
    }
    Ok((Chain(steps), x))
}

impl Module for Chain {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = x.clone();
        for step in &self.0 {
            x = match step {
                Step::Conv(conv) => conv.forward(tape, &x)?,
                Step::Norm(norm, None) => norm.forward(tape, &x)?,
                Step::Norm(norm, Some(act)) => norm.forward_act(tape, &x, act)?,
                Step::ConvNorm(conv, norm, act) => {
                    conv.forward_norm(tape, &x, norm, None, act.as_ref())?
                }
                Step::Act(act) => act.forward(tape, &x)?,
                &Step::MaxPool([kernel, stride, padding]) => {
                    max_pool(tape, &x, kernel, stride, padding)?
                }
                &Step::AvgPool(kernel, stride) => average_pool(tape, &x, kernel, stride)?,
                Step::GlobalAvgPool => adaptive_average_pool(tape, &x, 1, 1)?,
                Step::Dropout(dropout) => dropout.forward(tape, &x)?,
                Step::Flatten => flatten(tape, &x)?,
                Step::Linear(linear) => linear.forward(tape, &x)?,
                Step::Residual(body, shortcut) => {
                    let y = tape.residual_branch(&x, |x| body.forward(tape, x))?;
                    add(tape, &y, &shortcut.forward(tape, &x)?)?
                }
            };
        }
        Ok(x)
    }
}
