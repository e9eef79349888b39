//! Pre-activation ResNet (He et al., arXiv 1603.05027) for 32x32 images: batch norm and ReLU before each convolution, and
//! a shortcut's 1x1 convolution starts from the activated input. Tensors are named as in kuangliu/pytorch-cifar, whose
//! network ends in the last addition; that of the paper and of robust training (fast_adversarial, robust_overfitting)
//! has a batch norm, `bn`, and a ReLU after it. RobustBench's `PreActBlockV2` is the same block; its `PreActBlock` has a
//! shortcut that starts from the input before its activation. Tensors do not tell, and weights of the one answer wrongly in
//! the other.

use super::architecture::{Architecture, Define, ModelConfig};
use super::preactivated::{Conv, PreActivated, Residual};
use super::preset::Preset;
use crate::Result;
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Init, Module, batch_norm2d, conv2d, linear,
};
use crate::ops::activation::Activation;

pub(super) const ARCHITECTURES: &[Architecture] = &[
    preact(
        "preact_resnet18",
        "pre-activation residual network with a batch norm and ReLU at its end, as robust training uses it",
        // Every ReLU of the last stage and the final one; there is no published choice.
        Preset::Globs(&["layer4.*", "relu"]),
        |b, c, _| define(b, c, [2, 2, 2, 2], WITH_NORM),
    ),
    preact(
        "preact_resnet18_kuangliu",
        "the same without the batch norm and ReLU at its end, as in kuangliu/pytorch-cifar",
        Preset::Globs(&["layer4.*"]),
        |b, c, _| define(b, c, [2, 2, 2, 2], KUANGLIU),
    ),
    preact(
        "preact_resnet18_raw_shortcut",
        "the same with shortcuts that start from the input before its activation, as in RobustBench's PreActResNet of PreActBlock",
        Preset::Globs(&["layer4.*"]),
        |b, c, _| define(b, c, [2, 2, 2, 2], RAW_SHORTCUT),
    ),
];

/// What tells the networks of this form apart.
#[derive(Clone, Copy)]
struct Form {
    /// Whether a batch norm and a ReLU follow the last block.
    normed: bool,
    /// Whether shortcuts start from the activated input.
    activated: bool,
}

const WITH_NORM: Form = Form {
    normed: true,
    activated: true,
};

const KUANGLIU: Form = Form {
    normed: false,
    activated: true,
};

const RAW_SHORTCUT: Form = Form {
    normed: false,
    activated: false,
};

const fn preact(
    name: &'static str,
    about: &'static str,
    linbp: Preset,
    define: Define,
) -> Architecture {
    Architecture::new(name, about, "arXiv 1603.05027", linbp, define)
}

fn conv(b: &Builder, c_in: usize, c_out: usize, kernel: usize, stride: usize) -> Result<Conv2d> {
    let config = ConvConfig::same(kernel, stride, Init::KaimingFanOut);
    conv2d(b, c_in, c_out, kernel, config)
}

/// Batch norm, ReLU, 3x3 convolution.
fn layer(
    b: &Builder,
    number: usize,
    [c_in, c_out]: [usize; 2],
    stride: usize,
) -> Result<(BatchNorm2d, Act, Conv)> {
    Ok((
        batch_norm2d(&b.pp(format!("bn{number}")), c_in)?,
        b.activation(&format!("relu{number}"), Activation::Relu),
        conv(&b.pp(format!("conv{number}")), c_in, c_out, 3, stride)?.into(),
    ))
}

/// `blocks`: how many each of the four stages has.
fn define(
    b: &Builder,
    config: &ModelConfig,
    blocks: [usize; 4],
    form: Form,
) -> Result<Box<dyn Module>> {
    let stem = conv(&b.pp("conv1"), config.image[0], 64, 3, 1)?;
    let mut layers = Vec::new();
    let mut c_in = 64;
    for (stage, repeats) in blocks.into_iter().enumerate() {
        let path = b.pp(format!("layer{}", stage + 1));
        let c_out = 64 << stage;
        for i in 0..repeats {
            let (b, stride) = (path.pp(i), c_out / c_in);
            let (norm_1, relu_1, conv_1) = layer(&b, 1, [c_in, c_out], stride)?;
            let (norm_2, relu_2, conv_2) = layer(&b, 2, [c_out, c_out], 1)?;
            let shortcut = b.pp("shortcut").pp(0);
            layers.push(Residual {
                norms: [norm_1, norm_2],
                acts: [relu_1, relu_2],
                convs: [conv_1, conv_2],
                dropout: None,
                shortcut: match stride {
                    1 => None,
                    _ => Some(conv(&shortcut, c_in, c_out, 1, stride)?.into()),
                },
                activated: form.activated,
            });
            c_in = c_out;
        }
    }
    let last = match form.normed {
        true => Some((
            batch_norm2d(&b.pp("bn"), c_in)?,
            b.activation("relu", Activation::Relu),
        )),
        false => None,
    };
    Ok(Box::new(PreActivated {
        stem,
        blocks: layers,
        last,
        linear: linear(&b.pp("linear"), c_in, config.classes, Init::TorchDefault)?,
    }))
}
