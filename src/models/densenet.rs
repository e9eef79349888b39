//! DenseNet-BC (Huang et al., arXiv 1608.06993) in its CIFAR variant: the stem is a 3x3 convolution with stride 1, with the
//! max-pool or without. Tensors are named as torchvision names them; the ReLU after the last norm is `features.relu5`.

use super::architecture::{Architecture, Define, ModelConfig};
use super::preset::Preset;
use super::stem::Stem;
use crate::nn::pool::{adaptive_average_pool, average_pool};
use crate::nn::structure::{concatenate, flatten};
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Linear, Module, Tape, Var,
    batch_norm2d, conv2d, dropout, linear,
};
use crate::ops::activation::Activation;
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    densenet("densenet121", |b, c, _| define(b, c, [6, 12, 24, 16], 32)),
    densenet("densenet161", |b, c, _| define(b, c, [6, 12, 36, 24], 48)),
    densenet("densenet169", |b, c, _| define(b, c, [6, 12, 32, 32], 32)),
    densenet("densenet201", |b, c, _| define(b, c, [6, 12, 48, 32], 32)),
];

const fn densenet(name: &'static str, define: Define) -> Architecture {
    Architecture {
        stems: Stem::WITH_POOL,
        // In attacks the transition before the last block too.
        linbp_attack: Preset::Globs(&[
            "features.transition3.relu",
            "features.denseblock4.*",
            "features.relu5",
        ]),
        ..Architecture::new(
            name,
            "densely connected network: stem 3x3 with stride 1, then a max-pool or none, or torchvision's for large images (model.stem)",
            "arXiv 1608.06993",
            // The last block and the final ReLU.
            Preset::Globs(&["features.denseblock4.*", "features.relu5"]),
            define,
        )
    }
}

/// Channels between a layer's two convolutions, in multiples of the growth.
const BOTTLENECK: usize = 4;

fn conv(b: &Builder, c_in: usize, c_out: usize, kernel: usize) -> Result<Conv2d> {
    let config = ConvConfig::same(kernel, 1, Init::KaimingFanIn);
    conv2d(b, c_in, c_out, kernel, config)
}

/// Batch norm, ReLU, convolution.
struct NormActConv {
    norm: BatchNorm2d,
    relu: Act,
    conv: Conv2d,
}

impl NormActConv {
    /// `suffix` tells the parts of two such layers in one module apart.
    fn new(b: &Builder, suffix: &str, c_in: usize, c_out: usize, kernel: usize) -> Result<Self> {
        let part = |name: &str| format!("{name}{suffix}");
        Ok(Self {
            norm: batch_norm2d(&b.pp(part("norm")), c_in)?,
            relu: b.activation(&part("relu"), Activation::Relu),
            conv: conv(&b.pp(part("conv")), c_in, c_out, kernel)?,
        })
    }

    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let x = self.norm.forward_act(tape, x, &self.relu)?;
        self.conv.forward(tape, &x)
    }
}

/// Adds its new channels to its input's.
struct DenseLayer {
    squeeze: NormActConv,
    grow: NormActConv,
    dropout: Dropout,
}

impl Module for DenseLayer {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = self.squeeze.forward(tape, x)?;
        let y = self.grow.forward(tape, &y)?;
        let y = self.dropout.forward(tape, &y)?;
        concatenate(tape, &[x.clone(), y])
    }
}

/// Halves channels and sides.
struct Transition(NormActConv);

impl Module for Transition {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        average_pool(tape, &self.0.forward(tape, x)?, 2, 2)
    }
}

struct DenseNet {
    stem: (Conv2d, BatchNorm2d, Act),
    pool: Stem,
    body: Vec<Box<dyn Module>>,
    last: (BatchNorm2d, Act),
    classifier: Linear,
}

/// `blocks`: layers in each of the four; `growth`: channels that each layer adds. The stem has twice as many.
fn define(
    b: &Builder,
    config: &ModelConfig,
    blocks: [usize; 4],
    growth: usize,
) -> Result<Box<dyn Module>> {
    let [c_in, height, width] = config.image;
    let pool = Stem::of(b, config);
    let (halvings, least) = match pool {
        Stem::Pooled | Stem::Strided => ("four", 15),
        Stem::Plain => ("three", 8),
        Stem::ImageNet => ("five", 29),
    };
    if height < least || width < least {
        return Err(Error::spec(format!(
            "model.arch: a DenseNet halves its image {halvings} times and takes {least}x{least} and larger, the data has \
             {height}x{width}"
        )));
    }
    let path = b.pp("features");
    let (kernel, stride) = pool.convolution();
    let first = ConvConfig::same(kernel, stride, Init::KaimingFanIn);
    let stem = (
        conv2d(&path.pp("conv0"), c_in, 2 * growth, kernel, first)?,
        batch_norm2d(&path.pp("norm0"), 2 * growth)?,
        path.activation("relu0", Activation::Relu),
    );
    let mut body: Vec<Box<dyn Module>> = Vec::new();
    let mut channels = 2 * growth;
    for (i, layers) in blocks.into_iter().enumerate() {
        if i > 0 {
            let b = path.pp(format!("transition{i}"));
            let layer = NormActConv::new(&b, "", channels, channels / 2, 1)?;
            body.push(Box::new(Transition(layer)));
            channels /= 2;
        }
        let block = path.pp(format!("denseblock{}", i + 1));
        for j in 0..layers {
            let b = block.pp(format!("denselayer{}", j + 1));
            let between = BOTTLENECK * growth;
            body.push(Box::new(DenseLayer {
                squeeze: NormActConv::new(&b, "1", channels, between, 1)?,
                grow: NormActConv::new(&b, "2", between, growth, 3)?,
                dropout: dropout(&b, config.dropout.unwrap_or(0.0))?,
            }));
            channels += growth;
        }
    }
    // torch's default for the weights, zero for the bias.
    let init = Init::Uniform {
        bound: 1.0 / (channels as f64).sqrt(),
    };
    Ok(Box::new(DenseNet {
        stem,
        pool,
        body,
        last: (
            batch_norm2d(&path.pp("norm5"), channels)?,
            path.activation("relu5", Activation::Relu),
        ),
        classifier: linear(&b.pp("classifier"), channels, config.classes, init)?,
    }))
}

impl Module for DenseNet {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let (conv, norm, relu) = &self.stem;
        let x = conv.forward_norm(tape, x, norm, None, Some(relu))?;
        let mut x = self.pool.pool(tape, &x)?;
        for part in &self.body {
            x = part.forward(tape, &x)?;
        }
        let (norm, relu) = &self.last;
        let x = norm.forward_act(tape, &x, relu)?;
        let x = flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)?;
        self.classifier.forward(tape, &x)
    }
}
