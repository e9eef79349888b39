//! Dropout layer: active in training mode alone.

use super::builder::Builder;
use super::pass::Mode;
use super::tape::{Tape, Var};
use crate::ops::dropout::{self as op, Mask};
use crate::rng::name_index;
use crate::{Error, Result};

/// Zeroes elements with probability `p` in training mode and scales the others by `1 / (1 - p)`.
#[derive(Clone, Debug)]
pub struct Dropout {
    p: f64,
    layer: u64,
}

/// A dropout layer; its masks depend on its path, so that two layers never share one.
pub fn dropout(b: &Builder, p: f64) -> Result<Dropout> {
    if !(0.0..1.0).contains(&p) {
        return Err(Error::failed(format!(
            "dropout probability {p}: expected at least 0 and below 1"
        )));
    }
    b.note_dropout(p);
    Ok(Dropout {
        p,
        layer: name_index(b.path()),
    })
}

impl Dropout {
    /// `x` with the mask of this pass.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        if tape.pass().mode == Mode::Eval || self.p == 0.0 {
            return Ok(x.clone());
        }
        let at = tape.pass().at;
        let mask = Mask {
            seed: at.seed,
            epoch: at.epoch,
            batch: at.batch,
            layer: self.layer,
            p: self.p,
        };
        let told = tape.coordinates().cloned();
        let y = op::apply(x.tensor(), mask, told.as_ref())?;
        Ok(tape.record_of(x, y, move |dy| op::apply(dy, mask, told.as_ref())))
    }
}
