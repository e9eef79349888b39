//! Joining activations along channels, and splitting their gradient again.

mod card;
mod cpu;

use candle_core::Tensor;

use super::card::card_of;
use super::device::ops;
use crate::{Error, Result};

/// Joins `(N, H, W, C_i)` tensors along channels.
pub fn forward(parts: &[&Tensor]) -> Result<Tensor> {
    match card_of(joinable(parts)?)? {
        Some(card) => card::forward(&*card, parts),
        None => cpu::forward(parts),
    }
}

/// The first of parts that agree in all but their channels.
fn joinable<'a>(parts: &[&'a Tensor]) -> Result<&'a Tensor> {
    let first = *parts
        .first()
        .ok_or_else(|| Error::failed("nothing to join"))?;
    let (n, h, w, _) = first.dims4()?;
    for part in parts {
        let (pn, ph, pw, _) = part.dims4()?;
        if (pn, ph, pw) != (n, h, w) || part.dtype() != first.dtype() {
            return Err(Error::failed(format!(
                "cannot join activations of {:?} {:?} and {:?} {:?}",
                first.dtype(),
                first.dims(),
                part.dtype(),
                part.dims()
            )));
        }
    }
    Ok(first)
}

ops! {
    /// The channels `start..start + width` of a gradient.
    pub fn slice(dy: &Tensor, start: usize, width: usize) -> Result<Tensor> {
        within(dy, start + width)
    }
}

fn within(dy: &Tensor, end: usize) -> Result<()> {
    let channels = dy.dims4()?.3;
    if end <= channels {
        return Ok(());
    }
    Err(Error::failed(format!(
        "channels up to {end} of {channels} were asked for"
    )))
}
