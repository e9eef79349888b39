//! Pre-activation ResNet (He et al., arXiv 1603.05027) for 32x32 images: batch norm and ReLU before each convolution, and
//! a shortcut's 1x1 convolution starts from the activated input. Tensors are named as in kuangliu/pytorch-cifar, whose
//! network ends in the last addition; that of the paper and of robust training (fast_adversarial, robust_overfitting)
//! has a batch norm, `bn`, and a ReLU after it. RobustBench's `PreActBlockV2` is the same block; its `PreActBlock` has a
//! shortcut that starts from the input before its activation. Tensors do not tell, and weights of the one answer wrongly in
//! the other.

use super::architecture::{Architecture, Define, ModelConfig};
use super::preset::Preset;
use crate::Result;
use crate::nn::pool::adaptive_average_pool;
use crate::nn::structure::{add, flatten};
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Init, Linear, Module, Tape, Var, batch_norm2d,
    conv2d, linear,
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
struct Layer {
    norm: BatchNorm2d,
    relu: Act,
    conv: Conv2d,
}

impl Layer {
    fn new(b: &Builder, number: usize, c_in: usize, c_out: usize, stride: usize) -> Result<Self> {
        Ok(Self {
            norm: batch_norm2d(&b.pp(format!("bn{number}")), c_in)?,
            relu: b.activation(&format!("relu{number}"), Activation::Relu),
            conv: conv(&b.pp(format!("conv{number}")), c_in, c_out, 3, stride)?,
        })
    }
}

/// `branch(x) + x`; where the shape changes, a convolution takes the place of the second `x`.
struct Residual {
    first: Layer,
    second: Layer,
    shortcut: Option<Conv2d>,
    /// Whether that convolution starts from the activated input.
    activated: bool,
}

impl Module for Residual {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let (first, second) = (&self.first, &self.second);
        let activated = first.norm.forward_act(tape, x, &first.relu)?;
        let y = first.conv.forward(tape, &activated)?;
        let y = second.norm.forward_act(tape, &y, &second.relu)?;
        let y = second.conv.forward(tape, &y)?;
        match &self.shortcut {
            Some(shortcut) if self.activated => add(tape, &shortcut.forward(tape, &activated)?, &y),
            Some(shortcut) => add(tape, &shortcut.forward(tape, x)?, &y),
            None => add(tape, x, &y),
        }
    }
}

struct PreActResNet {
    stem: Conv2d,
    blocks: Vec<Residual>,
    last: Option<(BatchNorm2d, Act)>,
    linear: Linear,
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
            layers.push(Residual {
                first: Layer::new(&b, 1, c_in, c_out, stride)?,
                second: Layer::new(&b, 2, c_out, c_out, 1)?,
                shortcut: match stride {
                    1 => None,
                    _ => Some(conv(&b.pp("shortcut").pp(0), c_in, c_out, 1, stride)?),
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
    Ok(Box::new(PreActResNet {
        stem,
        blocks: layers,
        last,
        linear: linear(&b.pp("linear"), c_in, config.classes, Init::TorchDefault)?,
    }))
}

impl Module for PreActResNet {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = self.stem.forward(tape, x)?;
        for block in &self.blocks {
            x = block.forward(tape, &x)?;
        }
        if let Some((norm, relu)) = &self.last {
            x = norm.forward_act(tape, &x, relu)?;
        }
        let x = flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)?;
        self.linear.forward(tape, &x)
    }
}
