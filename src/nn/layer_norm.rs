//! Layer normalisation without its scales, which arithmetic adds.

use super::tape::{Tape, Var};
use crate::Result;
use crate::ops::layer_norm as op;

/// Each row of `x`, its last dimension, brought to mean 0 and variance 1.
pub fn layer_norm(tape: &Tape, x: &Var, eps: f64) -> Result<Var> {
    let (y, inverse_std) = op::forward(x.tensor(), eps)?;
    let output = y.clone();
    Ok(tape.record_of(x, y, move |dy| op::backward(dy, &output, &inverse_std)))
}
