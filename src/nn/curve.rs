//! A function of each number by itself. As an activation it has a place in the network's list of them, and its true
//! derivative backwards or the identity where the pass's plan says so (LinBP); as a gate it has neither name nor choice.

use super::gradients::{Grad, Rule};
use super::tape::{Tape, Var};
use crate::Result;
use crate::ops::curve::{self, Curve};

/// A layer that applies a [`Curve`].
#[derive(Clone, Copy, Debug)]
pub struct Bend {
    curve: Curve,
    index: Option<usize>,
}

impl Bend {
    /// An activation with this position in the list. Made by [`super::Builder::bend`].
    pub(super) fn activation(curve: Curve, index: usize) -> Self {
        Self {
            curve,
            index: Some(index),
        }
    }

    /// A function that no plan makes linear.
    pub fn gate(curve: Curve) -> Self {
        Self { curve, index: None }
    }

    /// `y = curve(x)`; backwards `dx = dy curve'(x)`, or `dx = dy` where linear.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = curve::forward(x.tensor(), self.curve)?;
        let rule = self.index.map_or(Rule::True, |index| tape.rule(index));
        let (id, curve) = (x.id(), self.curve);
        let saved = (rule != Rule::Linear).then(|| x.tensor().clone());
        Ok(
            tape.record(y, id.is_some(), move |dy, gradients| match &saved {
                Some(x) if !gradients.is_linear(rule) => {
                    gradients.add(id, Grad::new(curve::backward(dy.tensor(), x, curve)?))
                }
                _ => gradients.add(id, dy),
            }),
        )
    }
}
