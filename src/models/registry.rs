//! The architectures that a spec can name, what each needs to be built, and its default LinBP table.

use candle_core::DType;
use globset::Glob;

use super::layers::Layers;
use super::{lenet5, mlp, mobilenet_v2};
use crate::nn::{Builder, LinearPlan, Module, Network};
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
    pub normalize: Option<Normalize>,
    /// Seed of the initial weights.
    pub seed: u64,
    pub dtype: DType,
}

/// Which of its two uses LinBP is planned for; DenseNet's default table differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinbpUse {
    /// Gradients with respect to the weights.
    Train,
    /// Gradients with respect to the input.
    Attack,
}

type Define = fn(&Builder, &ModelConfig) -> Result<Box<dyn Module>>;

/// An architecture of the registry.
#[derive(Clone, Copy)]
pub struct Arch {
    /// Its name in specs.
    pub name: &'static str,
    /// One line on what it is.
    pub about: &'static str,
    define: Define,
    /// Globs of the activations that LinBP makes linear by default: the paper's choice.
    default_linear: fn(LinbpUse) -> &'static [&'static str],
}

const ARCHS: &[Arch] = &[
    Arch {
        name: "mlp",
        about: "fully connected, 400-200-100 hidden units by default (model.widths)",
        define: mlp::define,
        default_linear: mlp::default_linear,
    },
    Arch {
        name: "lenet5",
        about: "LeNet-5: two convolutions, three linear layers, 28x28 images",
        define: lenet5::define,
        default_linear: lenet5::default_linear,
    },
    Arch {
        name: "mobilenet_v2",
        about: "MobileNetV2 in its CIFAR variant: stem and second stage with stride 1",
        define: mobilenet_v2::define,
        default_linear: mobilenet_v2::default_linear,
    },
];

/// The names of all architectures.
pub fn names() -> Vec<&'static str> {
    ARCHS.iter().map(|arch| arch.name).collect()
}

impl Arch {
    /// The architecture called `name`.
    pub fn find(name: &str) -> Result<&'static Self> {
        ARCHS.iter().find(|arch| arch.name == name).ok_or_else(|| {
            Error::spec(format!(
                "model.arch: unknown architecture \"{name}\"; known: {}",
                names().join(", ")
            ))
        })
    }
}

/// Builds the architecture called `arch`.
pub fn build(arch: &str, config: &ModelConfig) -> Result<Network> {
    let arch = Arch::find(arch)?;
    Network::build(config.seed, config.dtype, config.normalize.clone(), |b| {
        if let Some(activation) = config.activation {
            b.replace_rectifiers(activation);
        }
        (arch.define)(b, config)
    })
}

/// The plan that makes the activations of `layers` linear. A name that matches nothing is an error.
pub fn linear_plan(
    arch: &str,
    network: &Network,
    layers: &Layers,
    r#use: LinbpUse,
) -> Result<LinearPlan> {
    let arch = Arch::find(arch)?;
    let names = network.activations();
    let linear = match layers {
        Layers::All => vec![true; names.len()],
        Layers::Default => matching(names, (arch.default_linear)(r#use))?,
        Layers::Names(globs) => matching(names, globs)?,
        Layers::From(first) => {
            let start = names
                .iter()
                .position(|name| name == first)
                .ok_or_else(|| unmatched(&format!("from:{first}"), names))?;
            (0..names.len()).map(|i| i >= start).collect()
        }
    };
    Ok(LinearPlan::new(linear))
}

fn matching(names: &[String], globs: &[impl AsRef<str>]) -> Result<Vec<bool>> {
    let mut linear = vec![false; names.len()];
    for glob in globs {
        let text = glob.as_ref();
        let matcher = Glob::new(text)
            .map_err(|e| Error::spec(format!("linbp.layers: {e}")))?
            .compile_matcher();
        let mut found = false;
        for (name, linear) in names.iter().zip(&mut linear) {
            if matcher.is_match(name) {
                (*linear, found) = (true, true);
            }
        }
        if !found {
            return Err(unmatched(text, names));
        }
    }
    Ok(linear)
}

fn unmatched(text: &str, names: &[String]) -> Error {
    let nearest = names
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, text).total_cmp(&strsim::jaro_winkler(b, text)));
    let hint = nearest.map_or(String::new(), |name| format!("; the nearest is \"{name}\""));
    Error::spec(format!(
        "linbp.layers: \"{text}\" matches no activation{hint} (`runner models ARCH` lists them)"
    ))
}
