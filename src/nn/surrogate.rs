//! Smooth derivatives that stand in for an activation's own in the backward pass.

use candle_core::Tensor;

use crate::Result;
use crate::ops::activation::{self, Activation};
use crate::ops::curve::{self, Curve};

/// The function whose derivative an activation has backwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surrogate {
    /// SiLU: `s(z) (1 + z (1 - s(z)))` with the sigmoid `s` (BPA: Wang et al., NeurIPS 2023, arXiv 2306.12685).
    Silu,
    /// Softplus, `ln(1 + exp(beta z)) / beta`: `s(beta z)`, a continuous derivative in the place of ReLU's step (ConBP: Zhang et
    /// al., 2021).
    Softplus { beta: f64 },
}

impl Surrogate {
    /// The gradient with respect to what the activation took, `z`, of that with respect to its value.
    pub(super) fn backward(self, dy: &Tensor, z: &Tensor) -> Result<Tensor> {
        match self {
            Self::Silu => activation::backward(dy, z, Activation::Silu),
            Self::Softplus { beta } => curve::backward(dy, z, Curve::Softplus { beta }),
        }
    }
}
