//! A function of each number by itself. As an activation it has a place in the network's list of them, and its true
//! derivative backwards or what the pass's plan says, as [`super::Act`] has; as a gate it has neither name nor choice.

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

    /// `y = curve(x)`; backwards `dx = dy curve'(x)`, or `dx = dy` where linear, or by the derivative of a surrogate.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let y = curve::forward(x.tensor(), self.curve)?;
        let rule = self.index.map_or(Rule::True, |index| tape.rule(index));
        let (id, curve) = (x.id(), self.curve);
        let saved = (rule != Rule::Linear).then(|| x.tensor().clone());
        let y = tape.record(y, id.is_some(), move |dy, gradients| match &saved {
            Some(x) if !gradients.is_linear(rule) => {
                let dx = match rule {
                    Rule::Surrogate(surrogate) => surrogate.backward(dy.tensor(), x)?,
                    _ => curve::backward(dy.tensor(), x, curve)?,
                };
                gradients.add(id, Grad::new(dx))
            }
            _ => gradients.add(id, dy),
        });
        match self.index {
            Some(index) => tape.tapped(index, y),
            None => Ok(y),
        }
    }
}
