//! The architectures that a spec can name, and what each needs to be built.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::preset::{LinbpUse, Preset};
use super::stem::Stem;
use super::{densenet, lenet5, mlp, mobilenet_v2, resnet, squeezenet, vgg, wide_resnet};
use crate::nn::{Builder, Module, Network};
use crate::ops::activation::Activation;
use crate::ops::image::Normalize;
use crate::{Error, Result};

/// What a model is built from.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Shape of an image: channels, height, width.
    pub image: [usize; 3],
    pub classes: usize,
    /// Dropout probability; none: the architecture's own.
    pub dropout: Option<f64>,
    /// Hidden widths of the MLP; none: its default.
    pub widths: Option<Vec<usize>>,
    /// Stands in for every ReLU and ReLU6; none: the architecture's own.
    pub activation: Option<Activation>,
    /// The stem, where the family has two; none: the default one.
    pub stem: Option<Stem>,
    pub normalize: Option<Normalize>,
    /// Seed of the initial weights.
    pub seed: u64,
    pub dtype: DType,
    /// Where the network computes.
    pub device: Device,
}

impl ModelConfig {
    /// An architecture as it is published, in f32, with the initial weights of seed 0.
    pub fn new(image: [usize; 3], classes: usize) -> Self {
        Self {
            image,
            classes,
            dropout: None,
            widths: None,
            activation: None,
            stem: None,
            normalize: None,
            seed: 0,
            dtype: DType::F32,
            device: Device::Cpu,
        }
    }
}

/// An architecture: a family and what tells it from the family's others.
#[derive(Clone, Debug)]
pub struct Arch {
    name: String,
    family: Family,
}

#[derive(Clone, Copy, Debug)]
enum Family {
    Mlp,
    LeNet5,
    MobileNetV2,
    SqueezeNet,
    Vgg(vgg::Variant),
    ResNet(resnet::Variant),
    DenseNet(densenet::Variant),
    WideResNet(wide_resnet::Variant),
}

/// The one wide residual network that is listed by name; [`Arch::find`] knows the others by their pattern.
const LISTED_WIDE_RESNET: &str = "wide_resnet28_10";

/// Architectures whose names are fixed.
fn named() -> impl Iterator<Item = (&'static str, Family)> {
    [
        ("mlp", Family::Mlp),
        ("lenet5", Family::LeNet5),
        ("mobilenet_v2", Family::MobileNetV2),
        ("squeezenet", Family::SqueezeNet),
    ]
    .into_iter()
    .chain(
        vgg::VARIANTS
            .iter()
            .map(|&(name, v)| (name, Family::Vgg(v))),
    )
    .chain(
        resnet::VARIANTS
            .iter()
            .map(|&(name, v)| (name, Family::ResNet(v))),
    )
    .chain(
        densenet::VARIANTS
            .iter()
            .map(|&(name, v)| (name, Family::DenseNet(v))),
    )
}

/// The names of all architectures. Of the wide residual networks, `wide_resnetD_W`, one stands for all.
pub fn names() -> Vec<&'static str> {
    named()
        .map(|(name, _)| name)
        .chain([LISTED_WIDE_RESNET])
        .collect()
}

impl Arch {
    /// The architecture called `name`; an error says which there are.
    pub fn find(name: &str) -> Result<Self> {
        let family = match named().find(|(known, _)| *known == name) {
            Some((_, family)) => family,
            None if name.starts_with(wide_resnet::PREFIX) => {
                Family::WideResNet(wide_resnet::parse(name)?)
            }
            None => {
                return Err(Error::spec(format!(
                    "model.arch: unknown architecture \"{name}\"; known: {}, and wide_resnetD_W of other depths and \
                     widths",
                    names().join(", ")
                )));
            }
        };
        Ok(Self {
            name: name.to_string(),
            family,
        })
    }

    /// Its name in specs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line on what it is.
    pub fn about(&self) -> &'static str {
        match self.family {
            Family::Mlp => "fully connected, 400-200-100 hidden units by default (model.widths)",
            Family::LeNet5 => "LeNet-5: two convolutions, three linear layers, 28x28 images",
            Family::MobileNetV2 => {
                "MobileNetV2 in its CIFAR variant: stem 3x3 and second stage with stride 1"
            }
            Family::SqueezeNet => {
                "SqueezeNet with batch norm, for 32x32 images: stem 3x3 with stride 1, then a 2x2 max-pool"
            }
            Family::Vgg(_) => "VGG for 32x32 images, with the classifier of the original's width",
            Family::ResNet(_) => {
                "residual network in its CIFAR variant: stem 3x3 with stride 1, then a max-pool or none (model.stem)"
            }
            Family::DenseNet(_) => {
                "densely connected network in its CIFAR variant: stem 3x3 with stride 1, then a max-pool or none \
                 (model.stem)"
            }
            Family::WideResNet(_) => {
                "wide residual network as robust training uses it: stem 3x3 with stride 1, no max-pool"
            }
        }
    }

    /// Whether `model.stem` chooses between two.
    pub fn has_stems(&self) -> bool {
        matches!(self.family, Family::ResNet(_) | Family::DenseNet(_))
    }

    /// The images that it is meant for: 28x28 in grey or 32x32 in colour.
    pub(super) fn usual_image(&self) -> [usize; 3] {
        match self.family {
            Family::Mlp | Family::LeNet5 => [1, 28, 28],
            _ => [3, 32, 32],
        }
    }

    /// Where its residual branches are; nothing where they cannot be rescaled backwards.
    pub(super) fn residual_branches(&self) -> Option<resnet::Variant> {
        match self.family {
            Family::ResNet(variant) => Some(variant),
            _ => None,
        }
    }

    fn define(&self, b: &Builder, config: &ModelConfig) -> Result<Box<dyn Module>> {
        if let Some(activation) = config.activation {
            b.replace_rectifiers(activation);
        }
        match self.family {
            Family::Mlp => mlp::define(b, config),
            Family::LeNet5 => lenet5::define(b, config),
            Family::MobileNetV2 => mobilenet_v2::define(b, config),
            Family::SqueezeNet => squeezenet::define(b, config),
            Family::Vgg(variant) => vgg::define(b, config, variant),
            Family::ResNet(variant) => resnet::define(b, config, variant),
            Family::DenseNet(variant) => densenet::define(b, config, variant),
            Family::WideResNet(variant) => wide_resnet::define(b, config, variant),
        }
    }

    /// The activations that LinBP makes linear by default: the published choice.
    pub(super) fn preset(&self, r#use: LinbpUse) -> Preset {
        match self.family {
            Family::Mlp => mlp::PRESET,
            Family::LeNet5 => lenet5::PRESET,
            Family::MobileNetV2 => mobilenet_v2::PRESET,
            Family::SqueezeNet => squeezenet::PRESET,
            Family::Vgg(_) => vgg::PRESET,
            Family::ResNet(_) => resnet::PRESET,
            Family::DenseNet(_) => densenet::preset(r#use),
            Family::WideResNet(_) => wide_resnet::PRESET,
        }
    }
}

/// Builds the architecture called `arch`.
pub fn build(arch: &str, config: &ModelConfig) -> Result<Network> {
    let arch = Arch::find(arch)?;
    Network::build(
        config.seed,
        config.dtype,
        &config.device,
        config.normalize.clone(),
        |b| arch.define(b, config),
    )
}

/// The same network with names and shapes but without numbers: quick to build, to be asked and not to be run.
pub fn outline(arch: &str, config: &ModelConfig) -> Result<Network> {
    let arch = Arch::find(arch)?;
    Network::outline(|b| arch.define(b, config))
}

/// The rate of the architecture's dropout layers where none is given; none: it has no such layers.
pub fn dropout(arch: &str) -> Result<Option<f64>> {
    let image = Arch::find(arch)?.usual_image();
    Ok(outline(arch, &ModelConfig::new(image, 10))?.dropout())
}

/// Brings weights that are published in another form than the architecture's to that form; others stay as they are.
pub fn adapt(arch: &str, state: &mut BTreeMap<String, Tensor>) -> Result<()> {
    match Arch::find(arch)?.family {
        Family::Vgg(_) => vgg::adapt(state)?,
        Family::ResNet(_) => resnet::adapt(state),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_can_be_replaced() {
        let config = |activation| ModelConfig {
            activation,
            ..ModelConfig::new([3, 16, 16], 10)
        };
        let silu = build("mobilenet_v2", &config(Some(Activation::Silu))).unwrap();
        let relu = build("mobilenet_v2", &config(None)).unwrap();
        let x = candle_core::Tensor::ones((1, 3, 16, 16), DType::F32, &candle_core::Device::Cpu)
            .unwrap();
        let logits = |network: &Network| network.logits(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_ne!(logits(&silu), logits(&relu));
        assert_eq!(silu.activations(), relu.activations());
    }

    /// Robust weights of wide residual networks hold a block that nothing uses.
    #[test]
    fn surplus_tensors_are_named() {
        let network = build("wide_resnet10_1", &ModelConfig::new([3, 8, 8], 10)).unwrap();
        let mut state = network.state().unwrap();
        let unused = "sub_block1.layer.0.bn1.weight".to_string();
        state.insert(unused.clone(), state["fc.bias"].clone());
        state.insert("bn1.num_batches_tracked".into(), state["fc.bias"].clone());
        assert_eq!(network.load(&state).unwrap(), [unused]);
        state.remove("fc.bias");
        let fault = network.load(&state).unwrap_err().to_string();
        assert_eq!(fault, "tensor fc.bias of shape [10] is missing");
    }

    #[test]
    fn a_network_knows_whether_it_has_dropout() {
        for (arch, expected) in [
            ("mlp", None),
            ("lenet5", None),
            ("resnet18", None),
            ("mobilenet_v2", Some(0.2)),
            ("vgg16_bn", Some(0.5)),
            ("squeezenet", Some(0.5)),
            ("densenet121", Some(0.0)),
            ("wide_resnet16_4", Some(0.0)),
        ] {
            assert_eq!(dropout(arch).unwrap(), expected, "{arch}");
        }
    }

    #[test]
    fn images_that_are_too_small_are_refused() {
        let config = ModelConfig::new([3, 7, 7], 10);
        for arch in ["vgg11", "densenet121", "squeezenet", "lenet5"] {
            let fault = outline(arch, &config).err().unwrap();
            assert!(fault.to_string().contains("the data has 7x7"), "{fault}");
        }
    }
}
