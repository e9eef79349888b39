//! MobileNetV2 (Sandler et al., arXiv 1801.04381) in its CIFAR variant, whose stem and second stage have stride 1, so that a
//! 32x32 image ends as 4x4; and as published, where both have stride 2. Tensors are named as torchvision names them.

use super::architecture::{Architecture, ModelConfig};
use super::preset::Preset;
use super::stem::Stem;
use crate::Result;
use crate::nn::pool::adaptive_average_pool;
use crate::nn::structure::flatten;
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Linear, Module, Tape, Var,
    batch_norm2d, conv2d, dropout, linear,
};
use crate::ops::activation::Activation;

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    stems: &[Stem::Plain, Stem::Strided],
    ..Architecture::new(
        "mobilenet_v2",
        "MobileNetV2: stem 3x3 and second stage with stride 1, or as torchvision's for large images (model.stem)",
        "arXiv 1801.04381",
        // The ReLU6s of the last inverted residual and of the last 1x1 convolution.
        Preset::Globs(&["features.17.*", "features.18.*"]),
        define,
    )
}];

/// The stage whose stride is that of the stem.
const SECOND: usize = 1;

/// Expansion, channels, repeats, stride of the first repeat for small images: one line per stage.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// Convolution, batch norm, ReLU6.
struct ConvNormAct {
    conv: Conv2d,
    norm: BatchNorm2d,
    act: Act,
}

impl ConvNormAct {
    fn new(
        b: &Builder,
        c_in: usize,
        c_out: usize,
        kernel: usize,
        config: ConvConfig,
    ) -> Result<Self> {
        Ok(Self {
            conv: conv2d(&b.pp(0), c_in, c_out, kernel, config)?,
            norm: batch_norm2d(&b.pp(1), c_out)?,
            act: b.activation("2", Activation::Relu6),
        })
    }

    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.conv
            .forward_norm(tape, x, &self.norm, None, Some(&self.act))
    }
}

/// Expansion, depthwise convolution, linear projection; with a shortcut where shapes allow it.
struct InvertedResidual {
    expand: Option<ConvNormAct>,
    depthwise: ConvNormAct,
    project: Conv2d,
    norm: BatchNorm2d,
    shortcut: bool,
}

impl InvertedResidual {
    fn new(
        b: &Builder,
        c_in: usize,
        c_out: usize,
        stride: usize,
        expansion: usize,
    ) -> Result<Self> {
        let b = b.pp("conv");
        let hidden = c_in * expansion;
        let expand = match expansion {
            1 => None,
            _ => Some(ConvNormAct::new(
                &b.pp(0),
                c_in,
                hidden,
                1,
                config(1, 1, 1),
            )?),
        };
        let next = usize::from(expand.is_some());
        Ok(Self {
            depthwise: ConvNormAct::new(&b.pp(next), hidden, hidden, 3, config(3, stride, hidden))?,
            project: conv2d(&b.pp(next + 1), hidden, c_out, 1, config(1, 1, 1))?,
            norm: batch_norm2d(&b.pp(next + 2), c_out)?,
            shortcut: stride == 1 && c_in == c_out,
            expand,
        })
    }

    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = match &self.expand {
            Some(expand) => expand.forward(tape, x)?,
            None => x.clone(),
        };
        let y = self.depthwise.forward(tape, &y)?;
        let shortcut = self.shortcut.then_some(x);
        self.project
            .forward_norm(tape, &y, &self.norm, shortcut, None)
    }
}

fn config(kernel: usize, stride: usize, groups: usize) -> ConvConfig {
    ConvConfig {
        groups,
        ..ConvConfig::same(kernel, stride, Init::KaimingFanOut)
    }
}

struct MobileNetV2 {
    stem: ConvNormAct,
    blocks: Vec<InvertedResidual>,
    head: ConvNormAct,
    dropout: Dropout,
    classifier: Linear,
}

fn define(b: &Builder, model: &ModelConfig, _: &str) -> Result<Box<dyn Module>> {
    let features = b.pp("features");
    let (kernel, first) = model.stem.unwrap_or(Stem::Plain).convolution();
    let stem = config(kernel, first, 1);
    let stem = ConvNormAct::new(&features.pp(0), model.image[0], 32, kernel, stem)?;
    let mut blocks = Vec::new();
    let mut c_in = 32;
    for (stage, (expansion, c_out, repeats, stride)) in STAGES.into_iter().enumerate() {
        let stride = if stage == SECOND { first } else { stride };
        for repeat in 0..repeats {
            let stride = if repeat == 0 { stride } else { 1 };
            let b = features.pp(blocks.len() + 1);
            blocks.push(InvertedResidual::new(&b, c_in, c_out, stride, expansion)?);
            c_in = c_out;
        }
    }
    let head = ConvNormAct::new(
        &features.pp(blocks.len() + 1),
        c_in,
        1280,
        1,
        config(1, 1, 1),
    )?;
    let classifier = b.pp("classifier");
    let init = Init::Normal { std: 0.01 };
    Ok(Box::new(MobileNetV2 {
        stem,
        blocks,
        head,
        dropout: dropout(&classifier.pp(0), model.dropout.unwrap_or(0.2))?,
        classifier: linear(&classifier.pp(1), 1280, model.classes, init)?,
    }))
}

impl Module for MobileNetV2 {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = self.stem.forward(tape, x)?;
        for block in &self.blocks {
            x = block.forward(tape, &x)?;
        }
        let x = self.head.forward(tape, &x)?;
        let x = flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)?;
        let x = self.dropout.forward(tape, &x)?;
        self.classifier.forward(tape, &x)
    }
}
