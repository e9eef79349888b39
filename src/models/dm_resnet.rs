//! The residual networks of DeepMind's robust training (Gowal et al., arXiv 2010.03593; Rebuffi et al., arXiv 2103.01946; Gowal
//! et al., arXiv 2110.09468), which Wang et al. (arXiv 2302.04638) took over: SiLU for ReLU, a border below and to the right
//! alone where the stride is 2, and images standardised inside. Tensors are named as in
//! deepmind-research/adversarial_robustness and RobustBench.

use super::architecture::{Architecture, Define, ModelConfig, Pattern};
use super::preactivated::{Conv, PreActivated, Residual};
use super::preset::Preset;
use super::wide_resnet::{Variant, parse};
use crate::data::Statistics;
use crate::nn::{Act, Builder, ConvConfig, Init, Module, batch_norm2d, conv2d, linear};
use crate::ops::activation::Activation;
use crate::{Error, Result};

const PREFIX: &str = "dm_wide_resnet";
const PAPERS: &str = "arXiv 2010.03593, arXiv 2103.01946";

/// CIFAR-10's, as the authors have them.
const STANDARDISED: Statistics = Statistics {
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2471, 0.2435, 0.2616],
};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        pattern: Some(Pattern {
            name: "dm_wide_resnetD_W",
            about: "the same of depth D = 10, 16, 22, 28, .. (6n + 4) and W = 1 to 64 times the channels, as in dm_wide_resnet34_10",
            prefix: PREFIX,
            check: |name| parse(name, PREFIX).map(drop),
        }),
        ..dm(
            "dm_wide_resnet28_10",
            "wide residual network with SiLU, images standardised inside (CIFAR-10's statistics unless data.normalize has others), as in RobustBench's DMWideResNet",
            |b, config, name| wide(b, config, parse(name, PREFIX)?),
        )
    },
    dm(
        "dm_preact_resnet18",
        "pre-activation residual network with SiLU and 3x3 shortcuts, images standardised inside as those, as in RobustBench's DMPreActResNet",
        |b, config, _| preact(b, config, [2, 2, 2, 2]),
    ),
];

const fn dm(name: &'static str, about: &'static str, define: Define) -> Architecture {
    Architecture {
        standardised: Some(STANDARDISED),
        // The final activation alone, as in the wide residual network with ReLU; there is no published choice.
        ..Architecture::new(name, about, PAPERS, Preset::Globs(&["relu"]), define)
    }
}

/// SiLU unless the spec wants another one.
fn activation(b: &Builder, config: &ModelConfig, name: &str) -> Act {
    b.activation(name, config.activation.unwrap_or(Activation::Silu))
}

/// A convolution whose input gets its border before where the stride is 2.
fn conv(b: &Builder, c_in: usize, c_out: usize, kernel: usize, stride: usize) -> Result<Conv> {
    let same = ConvConfig::same(kernel, stride, Init::TorchDefault);
    let (config, border) = match (kernel, stride) {
        (3, 2) => (ConvConfig { padding: 0, ..same }, 1),
        _ => (same, 0),
    };
    let conv = conv2d(b, c_in, c_out, kernel, config)?;
    Ok(Conv { conv, border })
}

/// The names of a block's parts, and what its shortcut is.
struct Form {
    convs: [&'static str; 2],
    /// The side of the shortcut's kernel.
    shortcut: usize,
    /// Whether the shortcut starts from the activated input.
    activated: bool,
}

const WIDE: Form = Form {
    convs: ["conv_0", "conv_1"],
    shortcut: 1,
    activated: true,
};

const PREACT: Form = Form {
    convs: ["conv_2d_1", "conv_2d_2"],
    shortcut: 3,
    activated: false,
};

fn residual(
    b: &Builder,
    config: &ModelConfig,
    form: &Form,
    [c_in, c_out]: [usize; 2],
    stride: usize,
) -> Result<Residual> {
    let norm = |number: usize, c| batch_norm2d(&b.pp(format!("batchnorm_{number}")), c);
    let act = |number: usize| activation(b, config, &format!("relu_{number}"));
    let shortcut = b.pp("shortcut");
    Ok(Residual {
        norms: [norm(0, c_in)?, norm(1, c_out)?],
        acts: [act(0), act(1)],
        convs: [
            conv(&b.pp(form.convs[0]), c_in, c_out, 3, stride)?,
            conv(&b.pp(form.convs[1]), c_out, c_out, 3, 1)?,
        ],
        dropout: None,
        shortcut: match c_in == c_out && stride == 1 {
            true => None,
            false => Some(conv(&shortcut, c_in, c_out, form.shortcut, stride)?),
        },
        activated: form.activated,
    })
}

/// `stem`: the name of the first convolution, and its channels; `groups`: the channels of each group of blocks, how many blocks
/// it has, and the name of each.
fn define(
    b: &Builder,
    config: &ModelConfig,
    (stem, channels): (&str, usize),
    form: &Form,
    groups: &[(usize, usize)],
    block: impl Fn(usize, usize) -> Builder,
) -> Result<Box<dyn Module>> {
    let [_, height, width] = config.image;
    // The second and third strides of 2 take halves of whole numbers.
    let strides = 1 << (groups.len() - 1);
    if height % strides != 0 || width % strides != 0 {
        return Err(Error::spec(format!(
            "model.arch: takes images whose sides are multiples of {strides}, the data has {height}x{width}"
        )));
    }
    let same = ConvConfig::same(3, 1, Init::TorchDefault);
    let stem = conv2d(&b.pp(stem), config.image[0], channels, 3, same)?;
    let mut blocks = Vec::new();
    let mut c_in = channels;
    for (group, &(c_out, count)) in groups.iter().enumerate() {
        for number in 0..count {
            let stride = if group > 0 && number == 0 { 2 } else { 1 };
            let b = block(group, number);
            blocks.push(residual(&b, config, form, [c_in, c_out], stride)?);
            c_in = c_out;
        }
    }
    let norm = batch_norm2d(&b.pp("batchnorm"), c_in)?;
    Ok(Box::new(PreActivated {
        stem,
        blocks,
        last: Some((norm, activation(b, config, "relu"))),
        linear: linear(&b.pp("logits"), c_in, config.classes, Init::TorchDefault)?,
    }))
}

fn wide(b: &Builder, config: &ModelConfig, variant: Variant) -> Result<Box<dyn Module>> {
    let count = (variant.depth - 4) / 6;
    let groups = [16, 32, 64].map(|channels| (channels * variant.width, count));
    let block = |group, number| b.pp("layer").pp(group).pp("block").pp(number);
    define(b, config, ("init_conv", 16), &WIDE, &groups, block)
}

fn preact(b: &Builder, config: &ModelConfig, counts: [usize; 4]) -> Result<Box<dyn Module>> {
    let groups: Vec<(usize, usize)> = [64, 128, 256, 512].into_iter().zip(counts).collect();
    let block = |group, number| b.pp(format!("layer_{group}")).pp(number);
    define(b, config, ("conv_2d", 64), &PREACT, &groups, block)
}
