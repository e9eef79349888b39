//! ResNet (He et al., arXiv 1512.03385) and ResNeXt (Xie et al., arXiv 1611.05431) in their CIFAR variant: the stem is
//! a 3x3 convolution with stride 1, with the max-pool or without. Tensors are named as torchvision names them; the one ReLU that
//! torchvision's block uses several times is `relu1`, `relu2`, .. here.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::architecture::{Architecture, Define, ModelConfig};
use super::preset::Preset;
use super::stem::Stem;
use crate::Result;
use crate::nn::pool::adaptive_average_pool;
use crate::nn::structure::flatten;
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Init, Linear, Module, Tape, Var, batch_norm2d,
    conv2d, linear,
};
use crate::ops::activation::Activation;

pub(super) const ARCHITECTURES: &[Architecture] = &[
    basic("resnet18", |b, c, _| {
        define(b, c, [2, 2, 2, 2], Block::Basic)
    }),
    basic("resnet34", |b, c, _| {
        define(b, c, [3, 4, 6, 3], Block::Basic)
    }),
    bottleneck("resnet50", |b, c, _| define(b, c, [3, 4, 6, 3], PLAIN)),
    bottleneck("resnet101", |b, c, _| define(b, c, [3, 4, 23, 3], PLAIN)),
    bottleneck("resnet152", |b, c, _| define(b, c, [3, 8, 36, 3], PLAIN)),
    resnext("resnext50_32x4d", |b, c, _| {
        define(b, c, [3, 4, 6, 3], groups(32, 4))
    }),
    resnext("resnext101_32x8d", |b, c, _| {
        define(b, c, [3, 4, 23, 3], groups(32, 8))
    }),
];

/// Whether an activation lies in a block and is not the one after its addition, whose name ends so.
pub(super) fn is_before_addition(activation: &str, after: &str) -> bool {
    activation.starts_with("layer") && !activation.ends_with(after)
}

const fn basic(name: &'static str, define: Define) -> Architecture {
    Architecture {
        stems: Stem::WITH_POOL,
        in_branch: Some(|name| is_before_addition(name, ".relu2")),
        adapt,
        ..Architecture::new(
            name,
            "residual network: stem 3x3 with stride 1, then a max-pool or none, or torchvision's for large images (model.stem)",
            "arXiv 1512.03385",
            // Every ReLU of the last stage, the ones after the addition included.
            Preset::Globs(&["layer4.*"]),
            define,
        )
    }
}

const fn bottleneck(name: &'static str, define: Define) -> Architecture {
    Architecture {
        in_branch: Some(|name| is_before_addition(name, ".relu3")),
        ..basic(name, define)
    }
}

const fn resnext(name: &'static str, define: Define) -> Architecture {
    Architecture {
        paper: "arXiv 1611.05431",
        ..bottleneck(name, define)
    }
}

#[derive(Clone, Copy, Debug)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 in groups, 1x1 to four times the stage's channels; `width` channels a group where the stage has 64.
    Bottleneck { groups: usize, width: usize },
}

const PLAIN: Block = groups(1, 64);

const fn groups(groups: usize, width: usize) -> Block {
    Block::Bottleneck { groups, width }
}

/// A convolution and its batch norm.
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

/// Channels in and out, kernel, stride and groups of a convolution.
type Shape = [usize; 5];

impl ConvNorm {
    fn new(conv: &Builder, norm: &Builder, shape: Shape) -> Result<Self> {
        let [c_in, c_out, kernel, stride, groups] = shape;
        let config = ConvConfig {
            groups,
            ..ConvConfig::same(kernel, stride, Init::KaimingFanOut)
        };
        Ok(Self {
            conv: conv2d(conv, c_in, c_out, kernel, config)?,
            norm: batch_norm2d(norm, c_out)?,
        })
    }

    /// `conv1` and `bn1`, `conv2` and `bn2`, ..
    fn numbered(b: &Builder, number: usize, shape: Shape) -> Result<Self> {
        Self::new(
            &b.pp(format!("conv{number}")),
            &b.pp(format!("bn{number}")),
            shape,
        )
    }
}

/// `relu(branch(x) + x)`, where a projection brings x to the branch's shape if that differs.
struct Residual {
    /// All layers of the branch but its last, each with the ReLU that follows.
    inner: Vec<(ConvNorm, Act)>,
    /// The last layer, and the ReLU after the addition.
    last: (ConvNorm, Act),
    projection: Option<ConvNorm>,
}

impl Residual {
    fn new(b: &Builder, c_in: usize, planes: usize, stride: usize, block: Block) -> Result<Self> {
        let shapes: Vec<Shape> = match block {
            Block::Basic => vec![[c_in, planes, 3, stride, 1], [planes, planes, 3, 1, 1]],
            Block::Bottleneck { groups, width } => {
                let width = planes * width / 64 * groups;
                vec![
                    [c_in, width, 1, 1, 1],
                    [width, width, 3, stride, groups],
                    [width, 4 * planes, 1, 1, 1],
                ]
            }
        };
        let [_, c_out, ..] = shapes[shapes.len() - 1];
        let mut layers = Vec::new();
        for (i, shape) in shapes.into_iter().enumerate() {
            let act = b.activation(&format!("relu{}", i + 1), Activation::Relu);
            layers.push((ConvNorm::numbered(b, i + 1, shape)?, act));
        }
        let projection = match stride != 1 || c_in != c_out {
            true => {
                let path = b.pp("downsample");
                let shape = [c_in, c_out, 1, stride, 1];
                Some(ConvNorm::new(&path.pp(0), &path.pp(1), shape)?)
            }
            false => None,
        };
        let last = layers.pop().expect("a block has layers");
        Ok(Self {
            inner: layers,
            last,
            projection,
        })
    }
}

impl Module for Residual {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let (last, act) = &self.last;
        let y = tape.residual_branch(x, |x| {
            let mut y = x.clone();
            for (layer, act) in &self.inner {
                y = layer
                    .conv
                    .forward_norm(tape, &y, &layer.norm, None, Some(act))?;
            }
            last.conv.forward(tape, &y)
        })?;
        let x = match &self.projection {
            Some(layer) => layer.conv.forward_norm(tape, x, &layer.norm, None, None)?,
            None => x.clone(),
        };
        last.norm.forward_add_act(tape, &y, &x, act)
    }
}

/// Gives tensors that are named as in kuangliu/pytorch-cifar, `shortcut` and `linear`, torchvision's names.
fn adapt(state: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let renamed = |name: &str| match name.strip_prefix("linear.") {
        Some(rest) => format!("fc.{rest}"),
        None => name.replace(".shortcut.", ".downsample."),
    };
    let named = std::mem::take(state).into_iter();
    *state = named
        .map(|(name, tensor)| (renamed(&name), tensor))
        .collect();
    Ok(())
}

struct ResNet {
    stem: ConvNorm,
    relu: Act,
    pool: Stem,
    blocks: Vec<Residual>,
    fc: Linear,
}

/// `blocks`: how many each of the four stages has.
fn define(
    b: &Builder,
    config: &ModelConfig,
    blocks: [usize; 4],
    block: Block,
) -> Result<Box<dyn Module>> {
    let pool = Stem::of(b, config);
    let (kernel, stride) = pool.convolution();
    let stem = ConvNorm::numbered(b, 1, [config.image[0], 64, kernel, stride, 1])?;
    let relu = b.activation("relu", Activation::Relu);
    let expansion = match block {
        Block::Basic => 1,
        Block::Bottleneck { .. } => 4,
    };
    let mut layers = Vec::new();
    let mut c_in = 64;
    for (stage, repeats) in blocks.into_iter().enumerate() {
        let path = b.pp(format!("layer{}", stage + 1));
        let planes = 64 << stage;
        for i in 0..repeats {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            layers.push(Residual::new(&path.pp(i), c_in, planes, stride, block)?);
            c_in = expansion * planes;
        }
    }
    Ok(Box::new(ResNet {
        stem,
        relu,
        pool,
        blocks: layers,
        fc: linear(&b.pp("fc"), c_in, config.classes, Init::TorchDefault)?,
    }))
}

impl Module for ResNet {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let ConvNorm { conv, norm } = &self.stem;
        let x = conv.forward_norm(tape, x, norm, None, Some(&self.relu))?;
        let mut x = self.pool.pool(tape, &x)?;
        for block in &self.blocks {
            x = block.forward(tape, &x)?;
        }
        let x = flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)?;
        self.fc.forward(tape, &x)
    }
}
