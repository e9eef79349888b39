//! An activation layer: its true derivative backwards, or the identity where the pass's plan says so (LinBP).

use super::tape::{Tape, Var};
use crate::Result;
use crate::ops;
use crate::ops::activation::Activation;

/// An activation with a place in the network's list of activations. Made by [`super::Builder::activation`].
#[derive(Clone, Copy, Debug)]
pub struct Act {
    kind: Activation,
    index: usize,
}

impl Act {
    pub(super) fn new(kind: Activation, index: usize) -> Self {
        Self { kind, index }
    }

    /// Which function it is.
    pub fn kind(&self) -> Activation {
        self.kind
    }

    /// Whether its backward is the identity in this pass.
    pub fn is_linear(&self, tape: &Tape) -> bool {
        tape.is_linear(self.index)
    }

    /// `z = act(x)`; backwards `dx = dz act'(x)`, or `dx = dz` where linear.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = ops::activation::forward(x.tensor(), self.kind)?;
        let id = x.id();
        if self.is_linear(tape) {
            return Ok(tape.record(y, id.is_some(), move |dy, sink| sink.add(id, dy)));
        }
        let kind = self.kind;
        let saved = if kind.derivative_from_output() {
            y.clone()
        } else {
            x.tensor().clone()
        };
        Ok(tape.record(y, id.is_some(), move |dy, sink| {
            let dx = ops::activation::backward(dy.tensor(), &saved, kind)?;
            sink.add(id, super::tape::Grad::new(dx))
        }))
    }
}
