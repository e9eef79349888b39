//! Gradients on their way: who holds one, and where a backward pass puts it.

use std::rc::Rc;

use candle_core::{Shape, Tensor};

use super::param::Param;
use crate::Result;
use crate::ops::elementwise;

/// The gradient of a value, which several backward closures may hold at once.
#[derive(Clone, Debug)]
pub struct Grad {
    tensor: Tensor,
    /// Counts who holds these numbers: a tensor does not tell, and only a sole holder may change them in place.
    holders: Rc<()>,
}

impl Grad {
    /// A gradient with a single holder.
    pub fn new(tensor: Tensor) -> Self {
        Self {
            tensor,
            holders: Rc::new(()),
        }
    }

    /// The gradient's numbers.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The same numbers in another shape.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        Ok(Self {
            tensor: self.tensor.reshape(shape.into())?,
            holders: Rc::clone(&self.holders),
        })
    }

    fn is_sole_holder(&self) -> bool {
        Rc::strong_count(&self.holders) == 1
    }
}

/// Which backward pass an activation gets: decided when it runs forwards, so that it keeps what it will need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The true derivative.
    True,
    /// The identity.
    Linear,
    /// The identity, and the true derivative in the pass for its norm.
    TrueNorms,
}

/// Where a backward closure puts the gradients that it computed.
pub struct GradientStore {
    values: Vec<Option<Grad>>,
    parameters: Vec<Option<Tensor>>,
    /// In a true-norm pass, the first value that takes part.
    true_norm_pass: Option<usize>,
}

impl GradientStore {
    /// A store for the gradients of so many values.
    pub(super) fn new(values: usize) -> Self {
        Self {
            values: vec![None; values],
            parameters: Vec::new(),
            true_norm_pass: None,
        }
    }

    /// Takes out the gradient of a value.
    pub(super) fn take(&mut self, id: usize) -> Option<Grad> {
        self.values[id].take()
    }

    /// Starts a true-norm pass, in which activations have their true derivatives, gradients reach no value before `first`
    /// and no parameter.
    pub(super) fn start_true_norm_pass(&mut self, first: usize) {
        self.true_norm_pass = Some(first);
    }

    /// Ends a true-norm pass.
    pub(super) fn end_true_norm_pass(&mut self) {
        self.true_norm_pass = None;
    }

    /// The gradients of the parameters.
    pub(super) fn into_parameters(self) -> Vec<Option<Tensor>> {
        self.parameters
    }

    /// Whether an activation with this rule passes its gradient through.
    pub fn is_linear(&self, rule: Rule) -> bool {
        match rule {
            Rule::True => false,
            Rule::Linear => true,
            Rule::TrueNorms => self.true_norm_pass.is_none(),
        }
    }

    /// Whether gradients of parameters go anywhere, where the pass wants them at all.
    pub fn takes_parameters(&self) -> bool {
        self.true_norm_pass.is_none()
    }

    /// Adds to the gradient of the value with handle `id`. The first gradient is moved in, later ones are added in
    /// place unless another holder still needs what is there.
    pub fn add(&mut self, id: Option<usize>, grad: Grad) -> Result<()> {
        let Some(id) = id.filter(|id| self.true_norm_pass.is_none_or(|first| *id >= first)) else {
            return Ok(());
        };
        let slot = &mut self.values[id];
        *slot = Some(match slot.take() {
            None => grad,
            Some(present) if present.is_sole_holder() => {
                elementwise::add_assign(present.tensor(), grad.tensor())?;
                present
            }
            Some(present) => Grad::new(elementwise::add(present.tensor(), grad.tensor())?),
        });
        Ok(())
    }

    /// Adds to the gradient of a parameter.
    pub fn parameter(&mut self, parameter: &Param, grad: Tensor) -> Result<()> {
        if !self.takes_parameters() {
            return Ok(());
        }
        let index = parameter.index();
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        match &self.parameters[index] {
            None => self.parameters[index] = Some(grad),
            Some(present) => elementwise::add_assign(present, &grad)?,
        }
        Ok(())
    }
}
