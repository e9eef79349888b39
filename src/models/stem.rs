//! What ResNets, ResNeXts, DenseNets and MobileNetV2 begin with. Several conventions are in use whose tensors have the same
//! names and shapes: weights do not tell which of them they were trained with, and under another one they load and answer
//! wrongly.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::architecture::ModelConfig;
use crate::Result;
use crate::nn::pool::max_pool;
use crate::nn::{Builder, Tape, Var};

/// The stem of a network whose family has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stem {
    /// Convolution, then a 3x3 max-pool of stride 2: that of networks trained from scratch unless another is named.
    #[default]
    #[serde(rename = "3x3-maxpool")]
    Pooled,
    /// The convolution alone.
    #[serde(rename = "3x3")]
    Plain,
    /// A 7x7 convolution of stride 2, then the max-pool: torchvision's, for images of 224x224 as those of ImageNet.
    #[serde(rename = "7x7-maxpool")]
    ImageNet,
    /// A convolution of stride 2, and MobileNetV2's second stage with stride 2: torchvision's, for images as those of ImageNet.
    #[serde(rename = "3x3-stride2")]
    Strided,
}

impl fmt::Display for Stem {
    /// Its name in specs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pooled => "3x3-maxpool",
            Self::Plain => "3x3",
            Self::ImageNet => "7x7-maxpool",
            Self::Strided => "3x3-stride2",
        })
    }
}

impl Stem {
    /// Those of ResNets, ResNeXts and DenseNets.
    pub(super) const WITH_POOL: &[Self] = &[Self::Pooled, Self::Plain, Self::ImageNet];

    /// What it is and whose.
    pub fn about(self) -> &'static str {
        match self {
            Self::Pooled => "a 3x3 max-pool of stride 2 follows, as in huyvnphan/PyTorch_CIFAR10",
            Self::Plain => {
                "stride 1 and no max-pool, for small images, as in kuangliu/pytorch-cifar, or torchvision's with maxpool = \
                 Identity"
            }
            Self::ImageNet => "torchvision's own, for large images",
            Self::Strided => {
                "torchvision's own, for large images: stride 2 here and in the second stage"
            }
        }
    }

    /// That of a network under construction.
    pub(super) fn of(b: &Builder, config: &ModelConfig) -> Self {
        let stem = config.stem.unwrap_or_default();
        if stem.is_pooled() {
            b.note_max_pool();
        }
        stem
    }

    /// Whether a max-pool is part of it.
    fn is_pooled(self) -> bool {
        matches!(self, Self::Pooled | Self::ImageNet)
    }

    /// Kernel and stride of the convolution.
    pub(super) fn convolution(self) -> (usize, usize) {
        match self {
            Self::Pooled | Self::Plain => (3, 1),
            Self::Strided => (3, 2),
            Self::ImageNet => (7, 2),
        }
    }

    /// What follows the convolution with its norm and activation.
    pub(super) fn pool(self, tape: &Tape, x: &Var) -> Result<Var> {
        match self.is_pooled() {
            true => max_pool(tape, x, 3, 2, 1),
            false => Ok(x.clone()),
        }
    }
}
