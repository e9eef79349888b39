//! Functions of each number that batch norms are not fused with: gates, softer rectifiers, powers.
//!
//! At its kinks a function has the derivative that torch gives it.

mod card;
mod cpu;

use candle_core::Tensor;

use super::card::constant;
use super::device::ops;
use super::same::same;
use crate::Result;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    /// `1 / (1 + exp(-z))`
    Sigmoid,
    /// `min(max(slope z + shift, 0), 1)`
    HardSigmoid { slope: f64, shift: f64 },
    /// `z min(max(z + 3, 0), 6) / 6` (arXiv 1905.02244)
    HardSwish,
    /// `z` above 0, `slope z` below
    LeakyRelu { slope: f64 },
    /// `z` above 0, `scale (exp(z) - 1)` below (arXiv 1511.07289)
    Elu { scale: f64 },
    /// `z (1 + erf(z / sqrt 2)) / 2` (arXiv 1606.08415)
    Gelu,
    /// `z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2`, what GELU was approximated by
    GeluTanh,
    /// `z tanh(ln(1 + exp(z)))` (arXiv 1908.08681)
    Mish,
    /// `min(max(z, least), most)`
    Clip { least: f64, most: f64 },
    /// `tanh(z)`
    Tanh,
    /// `ln(1 + exp(beta z)) / beta`
    Softplus { beta: f64 },
    /// `erf(z)`
    Erf,
    /// `exp(z)`
    Exp,
    /// `ln(z)`
    Log,
    /// `|z|`
    Absolute,
    /// `z^exponent`
    Power { exponent: f64 },
}

/// The number of a function in the kernels.
macro_rules! number {
    ($name:literal) => {
        const { constant(include_str!("kernel.cu"), $name) }
    };
}

impl Curve {
    /// Its number in the kernels, and the settings that they get beside it.
    fn numbered(self) -> (usize, [f64; 2]) {
        match self {
            Self::Sigmoid => (number!("SIGMOID"), [0.0; 2]),
            Self::HardSigmoid { slope, shift } => (number!("HARD_SIGMOID"), [slope, shift]),
            Self::HardSwish => (number!("HARD_SWISH"), [0.0; 2]),
            Self::LeakyRelu { slope } => (number!("LEAKY_RELU"), [slope, 0.0]),
            Self::Elu { scale } => (number!("ELU"), [scale, 0.0]),
            Self::Gelu => (number!("GELU"), [0.0; 2]),
            Self::GeluTanh => (number!("GELU_TANH"), [0.0; 2]),
            Self::Mish => (number!("MISH"), [0.0; 2]),
            Self::Clip { least, most } => (number!("CLIP"), [least, most]),
            Self::Tanh => (number!("TANH"), [0.0; 2]),
            Self::Softplus { beta } => (number!("SOFTPLUS"), [beta, 0.0]),
            Self::Erf => (number!("ERF"), [0.0; 2]),
            Self::Exp => (number!("EXP"), [0.0; 2]),
            Self::Log => (number!("LOG"), [0.0; 2]),
            Self::Absolute => (number!("ABSOLUTE"), [0.0; 2]),
            Self::Power { exponent } => (number!("POWER"), [exponent, 0.0]),
        }
    }
}

ops! {
    /// The function of every element.
    pub fn forward(x: &Tensor, curve: Curve) -> Result<Tensor>

    /// The gradient with respect to the input `x`.
    pub fn backward(dy: &Tensor, x: &Tensor, curve: Curve) -> Result<Tensor> {
        same("a function's gradient", dy, x)
    }
}
