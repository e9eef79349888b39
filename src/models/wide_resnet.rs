//! Wide residual networks (Zagoruyko and Komodakis, arXiv 1605.07146) of any depth and width, in the form that robust
//! training made common: batch norm and ReLU before each convolution. Tensors are named as in the code of TRADES;
//! weights may hold an unused `sub_block1` besides.

use super::architecture::{Architecture, ModelConfig, Pattern};
use super::preactivated::{PreActivated, Residual};
use super::preset::Preset;
use crate::nn::{Builder, Conv2d, ConvConfig, Init, Module, batch_norm2d, conv2d, dropout, linear};
use crate::ops::activation::Activation;
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    pattern: Some(Pattern {
        name: "wide_resnetD_W",
        about: "the same of depth D = 10, 16, 22, 28, .. (6n + 4) and W = 1 to 64 times the channels, as in wide_resnet34_20",
        prefix: PREFIX,
        check: |name| parse(name, PREFIX).map(drop),
    }),
    ..Architecture::new(
        "wide_resnet28_10",
        "wide residual network as robust training uses it: stem 3x3 with stride 1, no max-pool",
        "arXiv 1605.07146",
        // The final ReLU alone.
        Preset::Globs(&["relu"]),
        |b, config, name| define(b, config, parse(name, PREFIX)?),
    )
}];

/// What the names of the family start with: `wide_resnet28_10` has depth 28 and 10 times the channels.
const PREFIX: &str = "wide_resnet";

/// Convolutional layers, and the factor on channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variant {
    pub depth: usize,
    pub width: usize,
}

/// The depth and width of a name that starts with `prefix`; an error says what such a name looks like.
pub(super) fn parse(name: &str, prefix: &str) -> Result<Variant> {
    let (depth, width) = name
        .strip_prefix(prefix)
        .and_then(|rest| rest.split_once('_'))
        .and_then(|(depth, width)| Some((depth.parse().ok()?, width.parse().ok()?)))
        .unwrap_or((0, 0));
    // Four layers stand outside the three groups, whose blocks have two each.
    if !(10..=1000).contains(&depth) || (depth - 4) % 6 != 0 || !(1..=64).contains(&width) {
        return Err(Error::spec(format!(
            "model.arch: \"{name}\" is no wide residual network: expected {prefix}D_W with a depth D of 10, 16, 22, 28, \
             .. (6n + 4, at most 1000) and a width W of 1 to 64"
        )));
    }
    Ok(Variant { depth, width })
}

fn conv(b: &Builder, c_in: usize, c_out: usize, kernel: usize, stride: usize) -> Result<Conv2d> {
    let config = ConvConfig::same(kernel, stride, Init::KaimingFanOut);
    conv2d(b, c_in, c_out, kernel, config)
}

/// Where channels change, branch and shortcut both start from the activated input.
fn residual(b: &Builder, c_in: usize, c_out: usize, stride: usize, p: f64) -> Result<Residual> {
    let relu = |name| b.activation(name, Activation::Relu);
    let (norm_1, relu_1) = (batch_norm2d(&b.pp("bn1"), c_in)?, relu("relu1"));
    let conv_1 = conv(&b.pp("conv1"), c_in, c_out, 3, stride)?;
    let (norm_2, relu_2) = (batch_norm2d(&b.pp("bn2"), c_out)?, relu("relu2"));
    let shortcut = b.pp("convShortcut");
    Ok(Residual {
        norms: [norm_1, norm_2],
        acts: [relu_1, relu_2],
        dropout: Some(dropout(b, p)?),
        convs: [
            conv_1.into(),
            conv(&b.pp("conv2"), c_out, c_out, 3, 1)?.into(),
        ],
        shortcut: match c_in == c_out {
            true => None,
            false => Some(conv(&shortcut, c_in, c_out, 1, stride)?.into()),
        },
        activated: true,
    })
}

fn define(b: &Builder, config: &ModelConfig, variant: Variant) -> Result<Box<dyn Module>> {
    let p = config.dropout.unwrap_or(0.0);
    let stem = conv(&b.pp("conv1"), config.image[0], 16, 3, 1)?;
    let mut blocks = Vec::new();
    let mut c_in = 16;
    for group in 0..3 {
        let path = b.pp(format!("block{}", group + 1)).pp("layer");
        let c_out = (16 << group) * variant.width;
        for i in 0..(variant.depth - 4) / 6 {
            let stride = if group > 0 && i == 0 { 2 } else { 1 };
            blocks.push(residual(&path.pp(i), c_in, c_out, stride, p)?);
            c_in = c_out;
        }
    }
    // torch's default for the weights, zero for the bias.
    let init = Init::Uniform {
        bound: 1.0 / (c_in as f64).sqrt(),
    };
    Ok(Box::new(PreActivated {
        stem,
        blocks,
        last: Some((
            batch_norm2d(&b.pp("bn1"), c_in)?,
            b.activation("relu", Activation::Relu),
        )),
        linear: linear(&b.pp("fc"), c_in, config.classes, init)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_depth_and_width() {
        let (depth, width) = (28, 10);
        assert_eq!(
            parse("wide_resnet28_10", PREFIX).unwrap(),
            Variant { depth, width }
        );
        for name in [
            "wide_resnet",
            "wide_resnet28",
            "wide_resnet27_10",
            "wide_resnet4_1",
            "wide_resnet28_0",
            "wide_resnet28_65",
            "wide_resnet28_-1",
            "wide_resnet99999999999999999999999_1",
            "wide_resnet28_10_1",
        ] {
            let fault = parse(name, PREFIX).unwrap_err().to_string();
            assert!(fault.contains("expected wide_resnetD_W"), "{name}: {fault}");
        }
    }
}
