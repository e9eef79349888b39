//! The bias of linear layers and convolutions: added to every row, and its gradient.

pub(in crate::ops) mod card;
pub(in crate::ops) mod cpu;

use candle_core::Tensor;

use super::device::ops;
use crate::Result;

ops! {
    /// The gradient with respect to a bias: `dy` summed over everything but its last dimension.
    pub fn gradient(dy: &Tensor) -> Result<Tensor>
}
