//! VGG (Simonyan and Zisserman, arXiv 1409.1556) for 32x32 images, with and without batch norm. Features end as 1x1 and
//! are spread over 7x7 by adaptive pooling, so that the classifier keeps its original width of 25088 inputs. Tensors
//! are named as torchvision names them.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::architecture::{Architecture, Define, ModelConfig};
use super::preset::Preset;
use crate::nn::pool::{adaptive_average_pool, max_pool};
use crate::nn::structure::flatten;
use crate::nn::{
    Act, BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Linear, Module, Tape, Var,
    batch_norm2d, conv2d, dropout, linear,
};
use crate::ops::activation::Activation;
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    vgg("vgg11", |b, c, _| define(b, c, [1, 1, 2, 2, 2], false)),
    vgg("vgg13", |b, c, _| define(b, c, [2, 2, 2, 2, 2], false)),
    vgg("vgg16", |b, c, _| define(b, c, [2, 2, 3, 3, 3], false)),
    vgg("vgg19", |b, c, _| define(b, c, [2, 2, 4, 4, 4], false)),
    vgg("vgg11_bn", |b, c, _| define(b, c, [1, 1, 2, 2, 2], true)),
    vgg("vgg13_bn", |b, c, _| define(b, c, [2, 2, 2, 2, 2], true)),
    vgg("vgg16_bn", |b, c, _| define(b, c, [2, 2, 3, 3, 3], true)),
    vgg("vgg19_bn", |b, c, _| define(b, c, [2, 2, 4, 4, 4], true)),
];

const fn vgg(name: &'static str, define: Define) -> Architecture {
    Architecture {
        adapt,
        ..Architecture::new(
            name,
            "VGG for 32x32 images, with the classifier of the original's width",
            "arXiv 1409.1556",
            // The last three ReLUs of the features, which in VGG-16 are the last block's, and both of the classifier.
            Preset::Last(5),
            define,
        )
    }
}

const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];

/// Cells that the features are spread over before the classifier.
const SPREAD: usize = 7 * 7;

/// The name and channels of the classifier's first weights.
const FIRST: (&str, usize) = ("classifier.0.weight", 512);

/// Takes weights of the other published form, which pools the features to one cell and has a classifier of 512 inputs:
/// each of its weights is shared out evenly among the 49 cells, which all hold the same mean. Logits and gradients with
/// respect to images are the same.
fn adapt(state: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let (name, channels) = FIRST;
    let Some(weight) = state.get_mut(name) else {
        return Ok(());
    };
    if let &[out, features] = weight.dims()
        && features == channels
    {
        let share = (&*weight / SPREAD as f64)?.unsqueeze(2)?;
        *weight = share
            .broadcast_as((out, channels, SPREAD))?
            .reshape((out, channels * SPREAD))?;
    }
    Ok(())
}

enum Feature {
    Conv(Conv2d, Option<BatchNorm2d>, Act),
    Pool,
}

struct Vgg {
    features: Vec<Feature>,
    hidden: [(Linear, Act, Dropout); 2],
    out: Linear,
}

/// `blocks`: convolutions in each of the five; `norm`: whether batch norm follows each.
fn define(
    b: &Builder,
    config: &ModelConfig,
    blocks: [usize; 5],
    norm: bool,
) -> Result<Box<dyn Module>> {
    let [mut c_in, height, width] = config.image;
    if height < 32 || width < 32 {
        return Err(Error::spec(format!(
            "model.arch: a VGG halves its image five times and takes 32x32 and larger, the data has {height}x{width}"
        )));
    }
    let conv = ConvConfig {
        bias: true,
        ..ConvConfig::same(3, 1, Init::KaimingFanOut)
    };
    let path = b.pp("features");
    let mut features = Vec::new();
    // The position in torch's sequence of modules, where norms and activations count too.
    let mut at = 0;
    for (repeats, channels) in blocks.into_iter().zip(CHANNELS) {
        for _ in 0..repeats {
            let layer = conv2d(&path.pp(at), c_in, channels, 3, conv)?;
            let layer_norm = match norm {
                true => Some(batch_norm2d(&path.pp(at + 1), channels)?),
                false => None,
            };
            at += 1 + usize::from(norm);
            let act = path.activation(&at.to_string(), Activation::Relu);
            at += 1;
            features.push(Feature::Conv(layer, layer_norm, act));
            c_in = channels;
        }
        b.note_max_pool();
        features.push(Feature::Pool);
        at += 1;
    }
    let path = b.pp("classifier");
    let p = config.dropout.unwrap_or(0.5);
    let layer = |at: usize, from, to| linear(&path.pp(at), from, to, Init::Normal { std: 0.01 });
    let hidden = |at: usize, from| -> Result<_> {
        let act = path.activation(&(at + 1).to_string(), Activation::Relu);
        Ok((layer(at, from, 4096)?, act, dropout(&path.pp(at + 2), p)?))
    };
    Ok(Box::new(Vgg {
        features,
        hidden: [hidden(0, FIRST.1 * SPREAD)?, hidden(3, 4096)?],
        out: layer(6, 4096, config.classes)?,
    }))
}

impl Module for Vgg {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let mut x = x.clone();
        for feature in &self.features {
            x = match feature {
                Feature::Pool => max_pool(tape, &x, 2, 2, 0)?,
                Feature::Conv(conv, norm, act) => match norm {
                    Some(norm) => conv.forward_norm(tape, &x, norm, None, Some(act))?,
                    None => act.forward(tape, &conv.forward(tape, &x)?)?,
                },
            };
        }
        x = flatten(tape, &adaptive_average_pool(tape, &x, 7, 7)?)?;
        for (layer, act, dropout) in &self.hidden {
            x = act.forward(tape, &layer.forward(tape, &x)?)?;
            x = dropout.forward(tape, &x)?;
        }
        self.out.forward(tape, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn narrow_classifiers_are_spread() {
        let narrow = Tensor::arange(0f64, 1024.0, &Device::Cpu).unwrap();
        let narrow = narrow.reshape((2, 512)).unwrap();
        let name = "classifier.0.weight".to_string();
        let mut state = BTreeMap::from([(name.clone(), narrow.clone())]);
        adapt(&mut state).unwrap();
        let wide = state[&name].clone();
        assert_eq!(wide.dims(), [2, 25088]);
        let sums = wide.reshape((2, 512, 49)).unwrap().sum(2).unwrap();
        let error = (sums - narrow).unwrap().abs().unwrap().max_all().unwrap();
        assert!(error.to_scalar::<f64>().unwrap() < 1e-10);
        // The usual form, and anything else, is left alone.
        adapt(&mut state).unwrap();
        assert_eq!(state[&name].dims(), [2, 25088]);
        let odd = Tensor::zeros(512, DType::F32, &Device::Cpu).unwrap();
        let mut state = BTreeMap::from([(name.clone(), odd)]);
        adapt(&mut state).unwrap();
        assert_eq!(state[&name].dims(), [512]);
    }
}
