//! An activation layer: its true derivative backwards, or what the pass's plan says: the identity (LinBP), the
//! derivative of a smooth function.

use super::gradients::{Grad, Rule};
use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops;
use crate::ops::activation::Activation;

/// An activation with a position in the network's list of activations. Made by [`super::Builder::activation`].
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

    /// Its position among the activations of its network.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Which backward pass it gets in this pass.
    pub(super) fn rule(&self, tape: &Tape) -> Rule {
        tape.rule(self.index)
    }

    /// `z = act(x)`; backwards `dx = dz act'(x)`, or `dx = dz` where linear, or by the derivative of a surrogate.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = ops::activation::forward(x.tensor(), self.kind)?;
        let (id, kind, rule) = (x.id(), self.kind, self.rule(tape));
        let saved = match rule {
            Rule::Linear => None,
            Rule::Surrogate(_) => Some(x.tensor().clone()),
            _ if kind.derivative_from_output() => Some(y.clone()),
            _ => Some(x.tensor().clone()),
        };
        let y = tape.record(y, id.is_some(), move |dy, gradients| match &saved {
            Some(saved) if !gradients.is_linear(rule) => {
                let dx = rule.backward(dy.tensor(), saved, kind)?;
                gradients.add(id, Grad::new(dx))
            }
            _ => gradients.add(id, dy),
        });
        tape.trace(&y, [x], || vec![Operation::Activation(*self)]);
        tape.tapped(self.index, y)
    }
}
