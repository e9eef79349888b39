//! SqueezeNet (Iandola et al., arXiv 1602.07360) for 32x32 images, with batch norm: eight Fire modules, a convolution
//! as the classifier. Ends with logits where published code ends with their log-softmax: the same classes, losses and
//! gradients of the cross-entropy, and attacks that work on logits see logits.

use super::architecture::{Architecture, ModelConfig};
use super::preset::Preset;
use crate::nn::pool::{adaptive_average_pool, max_pool};
use crate::nn::structure::{concatenate, flatten};
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Module, Tape, Var, batch_norm2d,
    conv2d, dropout,
};
use crate::ops::activation::Activation;
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture::new(
    "squeezenet",
    "SqueezeNet with batch norm, for 32x32 images: stem 3x3 with stride 1, then a 2x2 max-pool",
    "arXiv 1602.07360",
    // The last two Fire modules. Published code has no choice to follow: its linear mode does not touch an activation.
    Preset::Globs(&["Fire8.*", "Fire9.*"]),
    define,
)];

/// Number, squeezed channels and channels of each of the two expansions.
const FIRES: [(usize, usize, usize); 8] = [
    (2, 16, 64),
    (3, 16, 64),
    (4, 32, 128),
    (5, 32, 128),
    (6, 48, 192),
    (7, 48, 192),
    (8, 64, 256),
    (9, 64, 256),
];

/// The Fire modules that a max-pool follows.
const POOLED: [usize; 2] = [4, 8];

fn conv(b: &Builder, c_in: usize, c_out: usize, kernel: usize) -> Result<Conv2d> {
    let config = ConvConfig {
        bias: true,
        ..ConvConfig::same(kernel, 1, Init::KaimingFanIn)
    };
    conv2d(b, c_in, c_out, kernel, config)
}

/// A convolution and its batch norm, the first two modules of a sequence.
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl ConvNorm {
    fn new(b: &Builder, c_in: usize, c_out: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            conv: conv(&b.pp(0), c_in, c_out, kernel)?,
            norm: batch_norm2d(&b.pp(1), c_out)?,
        })
    }
}

/// Squeezes channels, then expands them by 1x1 and by 3x3 convolutions side by side.
struct Fire {
    squeeze: ConvNorm,
    squeeze_relu: Act,
    expand: [ConvNorm; 2],
    relu: Act,
    pooled: bool,
}

impl Module for Fire {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let ConvNorm { conv, norm } = &self.squeeze;
        let x = conv.forward_norm(tape, x, norm, None, Some(&self.squeeze_relu))?;
        // The ReLU of the joined channels, taken from each part before they are joined.
        let expand = |ConvNorm { conv, norm }: &ConvNorm| {
            conv.forward_norm(tape, &x, norm, None, Some(&self.relu))
        };
        let y = concatenate(tape, &[expand(&self.expand[0])?, expand(&self.expand[1])?])?;
        match self.pooled {
            true => max_pool(tape, &y, 2, 2, 0),
            false => Ok(y),
        }
    }
}

struct SqueezeNet {
    stem: ConvNorm,
    relu: Act,
    fires: Vec<Fire>,
    dropout: Dropout,
    classifier: Conv2d,
}

fn define(b: &Builder, config: &ModelConfig, _: &str) -> Result<Box<dyn Module>> {
    let [channels, height, width] = config.image;
    if height < 8 || width < 8 {
        return Err(Error::spec(format!(
            "model.arch: squeezenet halves its image three times and takes 8x8 and larger, the data has \
             {height}x{width}"
        )));
    }
    let path = b.pp("conv");
    let stem = ConvNorm::new(&path, channels, 96, 3)?;
    let relu = path.activation("2", Activation::Relu);
    let mut c_in = 96;
    let mut fires = Vec::new();
    for (number, squeezed, expanded) in FIRES {
        let path = b.pp(format!("Fire{number}"));
        fires.push(Fire {
            squeeze: ConvNorm::new(&path.pp("squeeze"), c_in, squeezed, 1)?,
            squeeze_relu: path.pp("squeeze").activation("2", Activation::Relu),
            expand: [
                ConvNorm::new(&path.pp("expand1x1"), squeezed, expanded, 1)?,
                ConvNorm::new(&path.pp("expand3x3"), squeezed, expanded, 3)?,
            ],
            relu: path.activation("relu", Activation::Relu),
            pooled: POOLED.contains(&number),
        });
        c_in = 2 * expanded;
    }
    b.note_max_pool();
    Ok(Box::new(SqueezeNet {
        stem,
        relu,
        fires,
        dropout: dropout(&b.pp("dropout"), config.dropout.unwrap_or(0.5))?,
        classifier: conv(&b.pp("conv2"), c_in, config.classes, 1)?,
    }))
}

impl Module for SqueezeNet {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let ConvNorm { conv, norm } = &self.stem;
        let x = conv.forward_norm(tape, x, norm, None, Some(&self.relu))?;
        let mut x = max_pool(tape, &x, 2, 2, 0)?;
        for fire in &self.fires {
            x = fire.forward(tape, &x)?;
        }
        let x = self.dropout.forward(tape, &x)?;
        let x = self.classifier.forward(tape, &x)?;
        flatten(tape, &adaptive_average_pool(tape, &x, 1, 1)?)
    }
}
