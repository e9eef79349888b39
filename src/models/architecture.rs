//! What the program knows of an architecture: one record, which its family's file fills in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};

use super::preset::{LinbpUse, Preset};
use super::sequential::Layer;
use super::stem::Stem;
use crate::Result;
use crate::data::Statistics;
use crate::nn::{Builder, Module};
use crate::ops::activation::Activation;
use crate::ops::image::Normalize;

/// Builds the layers of the architecture of the given name, which matters where a [`Pattern`] stands for many.
pub(super) type Define = fn(&Builder, &ModelConfig, name: &str) -> Result<Box<dyn Module>>;

/// An architecture that a spec can name.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// Its name in specs.
    pub name: &'static str,
    /// One line on what it is.
    pub about: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Shape of the images that it is meant for: channels, height, width.
    pub image: [usize; 3],
    /// The other architectures of its kind that have no record of their own.
    pub pattern: Option<Pattern>,
    /// Where the names are those of files, what is asked of these.
    pub(super) file: Option<FromFile>,
    /// What its images are standardised by where `data.normalize` says nothing else; none: not at all.
    pub standardised: Option<Statistics>,
    /// What `model.stem` chooses from, the default first; nothing where there is no choice.
    pub stems: &'static [Stem],
    /// The hidden widths unless `model.widths` gives others, where that has an effect.
    pub widths: Option<&'static [usize]>,
    /// The activations that LinBP makes linear by default in training: the published choice.
    pub(super) linbp_train: Preset,
    /// The same in attacks.
    pub(super) linbp_attack: Preset,
    /// Whether `model.layers` says what it is made of.
    pub layers: bool,
    /// Whether the activation of a name lies inside a residual branch; none where branches cannot be rescaled.
    pub(super) in_branch: Option<fn(&str) -> bool>,
    /// Brings weights that are published in another form to the architecture's own; others stay as they are.
    pub(super) adapt: fn(&mut BTreeMap<String, Tensor>) -> Result<()>,
    pub(super) define: Define,
}

/// Names such as `wide_resnetD_W`, with numbers in them.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// With letters for the numbers.
    pub name: &'static str,
    /// One line on what the numbers mean and which are allowed.
    pub about: &'static str,
    /// What every such name starts with.
    pub(super) prefix: &'static str,
    /// Refuses names with other numbers, and says which are allowed.
    pub(super) check: fn(&str) -> Result<()>,
}

/// The shape of images (channels, height, width) and the number of classes.
pub type Form = ([usize; 3], usize);

/// What there is to ask of an architecture that is described by a file, which holds its initial weights too.
#[derive(Clone, Copy, Debug)]
pub(super) struct FromFile {
    /// The shape of its images and the number of its classes.
    pub form: fn(&str) -> Result<Form>,
    /// All files that it is read from.
    pub files: fn(&str) -> Result<Vec<PathBuf>>,
}

impl Architecture {
    /// An architecture for 32x32 colour images without anything special.
    pub(super) const fn new(
        name: &'static str,
        about: &'static str,
        paper: &'static str,
        linbp: Preset,
        define: Define,
    ) -> Self {
        Self {
            name,
            about,
            paper,
            image: [3, 32, 32],
            pattern: None,
            file: None,
            standardised: None,
            stems: &[],
            widths: None,
            linbp_train: linbp,
            linbp_attack: linbp,
            layers: false,
            in_branch: None,
            adapt: |_| Ok(()),
            define,
        }
    }

    /// Whether it is described by a file, and comes with weights.
    pub fn has_weights(&self) -> bool {
        self.file.is_some()
    }

    /// What stands before the network of `config`: its own standardisation, unless the config has another.
    pub(super) fn normalize(&self, config: &ModelConfig) -> Option<Normalize> {
        let own = self.standardised.map(|own| Normalize {
            mean: own.mean.to_vec(),
            std: own.std.to_vec(),
        });
        config.normalize.clone().or(own)
    }

    /// The activations that LinBP makes linear by default in one of its uses.
    pub(super) fn preset(&self, r#use: LinbpUse) -> Preset {
        match r#use {
            LinbpUse::Train => self.linbp_train,
            LinbpUse::Attack => self.linbp_attack,
        }
    }

    /// Whether the activation of this name lies inside a residual branch that can be rescaled.
    pub(super) fn is_in_branch(&self, activation: &str) -> bool {
        self.in_branch.is_some_and(|within| within(activation))
    }
}

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
    /// The layers of a sequential network, which has no others.
    pub layers: Option<Vec<Layer>>,
    /// Stands in for every ReLU and ReLU6; none: the architecture's own.
    pub activation: Option<Activation>,
    /// The stem, where the family has several; none: the default one.
    pub stem: Option<Stem>,
    /// What stands before the network; none: the architecture's own standardisation, where it has one.
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
            layers: None,
            activation: None,
            stem: None,
            normalize: None,
            seed: 0,
            dtype: DType::F32,
            device: Device::Cpu,
        }
    }
}
