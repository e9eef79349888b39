//! What ResNets, ResNeXts and DenseNets begin with. For small images two conventions are in use whose tensors have the same
//! names and shapes: weights do not tell which of them they were trained with, and under the other one they load and answer
//! wrongly.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::pool::max_pool;
use crate::nn::{Tape, Var};

/// The stem of a network whose family has two.
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
}

impl fmt::Display for Stem {
    /// Its name in specs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pooled => "3x3-maxpool",
            Self::Plain => "3x3",
            Self::ImageNet => "7x7-maxpool",
        })
    }
}

impl Stem {
    /// Kernel and stride of the convolution.
    pub(super) fn convolution(self) -> (usize, usize) {
        match self {
            Self::Pooled | Self::Plain => (3, 1),
            Self::ImageNet => (7, 2),
        }
    }

    /// What follows the convolution with its norm and activation.
    pub(super) fn pool(self, tape: &Tape, x: &Var) -> Result<Var> {
        match self {
            Self::Pooled | Self::ImageNet => max_pool(tape, x, 3, 2, 1),
            Self::Plain => Ok(x.clone()),
        }
    }
}
