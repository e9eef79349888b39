//! The ResNets for CIFAR (He et al., arXiv 1512.03385, section 4.2): three stages of 16, 32 and 64 channels and shortcuts
//! without parameters (option A). Tensors are named as in akamaster/pytorch_resnet_cifar10, activations as in the
//! larger ResNets.

use super::architecture::{Architecture, Define, ModelConfig};
use super::preset::Preset;
use super::resnet::is_before_addition;
use crate::Result;
use crate::nn::pool::{adaptive_average_pool, average_pool};
use crate::nn::structure::{flatten, more_channels};
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Init, Linear, Module, Tape, Var, batch_norm2d,
    conv2d, linear,
};
use crate::ops::activation::Activation;

pub(super) const ARCHITECTURES: &[Architecture] = &[
    resnet("resnet20", |b, c, _| define(b, c, 3)),
    resnet("resnet32", |b, c, _| define(b, c, 5)),
    resnet("resnet44", |b, c, _| define(b, c, 7)),
    resnet("resnet56", |b, c, _| define(b, c, 9)),
    resnet("resnet110", |b, c, _| define(b, c, 18)),
];

const fn resnet(name: &'static str, define: Define) -> Architecture {
    Architecture {
        in_branch: Some(|name| is_before_addition(name, ".relu2")),
        ..Architecture::new(
            name,
            "residual network for CIFAR with 16, 32 and 64 channels, shortcuts without parameters",
            "arXiv 1512.03385",
            // Every ReLU of the last stage, as in the larger ResNets; there is no published choice.
            Preset::Globs(&["layer3.*"]),
            define,
        )
    }
}

fn conv(b: &Builder, c_in: usize, c_out: usize, stride: usize) -> Result<Conv2d> {
    let config = ConvConfig::same(3, stride, Init::KaimingFanIn);
    conv2d(b, c_in, c_out, 3, config)
}

/// Convolution, batch norm, and the ReLU that follows, for the second layer after the addition.
struct Layer {
    conv: Conv2d,
    norm: BatchNorm2d,
    relu: Act,
}

impl Layer {
    fn new(b: &Builder, number: usize, c_in: usize, c_out: usize, stride: usize) -> Result<Self> {
        Ok(Self {
            conv: conv(&b.pp(format!("conv{number}")), c_in, c_out, stride)?,
            norm: batch_norm2d(&b.pp(format!("bn{number}")), c_out)?,
            relu: b.activation(&format!("relu{number}"), Activation::Relu),
        })
    }
}

/// `relu(branch(x) + shortcut(x))`
struct Residual {
    first: Layer,
    second: Layer,
    /// Channels that the shortcut adds on either side; with them it takes every second pixel.
    padding: usize,
}

impl Residual {
    fn shortcut(&self, tape: &Tape, x: &Var) -> Result<Var> {
        if self.padding == 0 {
            return Ok(x.clone());
        }
        let x = average_pool(tape, x, 1, 2)?;
        more_channels(tape, &x, self.padding, self.padding)
    }
}

impl Module for Residual {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = tape.residual_branch(x, |x| {
            let Layer { conv, norm, relu } = &self.first;
            let y = conv.forward_norm(tape, x, norm, None, Some(relu))?;
            self.second.conv.forward(tape, &y)
        })?;
        let x = self.shortcut(tape, x)?;
        let last = &self.second;
        last.norm.forward_add_act(tape, &y, &x, &last.relu)
    }
}

struct ResNet {
    stem: Conv2d,
    norm: BatchNorm2d,
    relu: Act,
    blocks: Vec<Residual>,
    linear: Linear,
}

/// `repeats`: blocks in each stage, for a depth of `6 * repeats + 2`.
fn define(b: &Builder, config: &ModelConfig, repeats: usize) -> Result<Box<dyn Module>> {
    let stem = conv(&b.pp("conv1"), config.image[0], 16, 1)?;
    let norm = batch_norm2d(&b.pp("bn1"), 16)?;
    let relu = b.activation("relu", Activation::Relu);
    let mut blocks = Vec::new();
    let mut c_in = 16;
    for stage in 0..3 {
        let path = b.pp(format!("layer{}", stage + 1));
        let c_out = 16 << stage;
        for i in 0..repeats {
            let b = path.pp(i);
            let stride = c_out / c_in;
            blocks.push(Residual {
                first: Layer::new(&b, 1, c_in, c_out, stride)?,
                second: Layer::new(&b, 2, c_out, c_out, 1)?,
                padding: (c_out - c_in) / 2,
            });
            c_in = c_out;
        }
    }
    Ok(Box::new(ResNet {
        stem,
        norm,
        relu,
        blocks,
        linear: linear(&b.pp("linear"), c_in, config.classes, Init::KaimingFanIn)?,
    }))
}

impl Module for ResNet {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = self
            .stem
            .forward_norm(tape, x, &self.norm, None, Some(&self.relu))?;
        for block in &self.blocks {
            x = block.forward(tape, &x)?;
        }
        let x = flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)?;
        self.linear.forward(tape, &x)
    }
}
