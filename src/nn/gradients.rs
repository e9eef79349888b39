//! Gradients: who holds one on its way, where a backward pass puts it, and what comes of it.

use std::rc::Rc;

use candle_core::{Shape, Tensor};

use super::param::Param;
use super::surrogate::Surrogate;
use crate::ops::activation::{self, Activation};
use crate::ops::{elementwise, length};
use crate::{Error, Result};

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The true derivative.
    True,
    /// The identity.
    Linear,
    /// The identity, and the true derivative in the pass for its norm.
    TrueNorms,
    /// The derivative of a smooth function.
    Surrogate(Surrogate),
}

impl Rule {
    /// Whether the derivative is told from what the activation took, never from its value.
    pub fn is_surrogate(self) -> bool {
        matches!(self, Self::Surrogate(_))
    }

    /// The gradient with respect to what an activation of this kind took, where it is not linear. `saved` is that with a
    /// surrogate, else what [`activation::backward`] takes.
    pub(super) fn backward(self, dy: &Tensor, saved: &Tensor, kind: Activation) -> Result<Tensor> {
        match self {
            Self::Surrogate(surrogate) => surrogate.backward(dy, saved),
            _ => activation::backward(dy, saved, kind),
        }
    }
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
            Rule::True | Rule::Surrogate(_) => false,
            Rule::Linear => true,
            Rule::TrueNorms => !self.is_true_norm_pass(),
        }
    }

    /// Whether this walk looks for the norm by the true derivatives.
    pub fn is_true_norm_pass(&self) -> bool {
        self.true_norm_pass.is_some()
    }

    /// Whether gradients of parameters go anywhere, where the pass wants them at all.
    pub fn takes_parameters(&self) -> bool {
        !self.is_true_norm_pass()
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

const NO_INPUT: &str = "the pass was not asked for the input's gradient";

/// The gradients that a pass wanted.
#[derive(Default)]
pub struct Gradients {
    parameters: Vec<Option<Tensor>>,
    input: Option<Tensor>,
}

impl Gradients {
    /// The gradients of all parameters, in their order, and of the input; none where one had no part in the result.
    pub(super) fn of(parameters: Vec<Option<Tensor>>, input: Option<Tensor>) -> Self {
        Self { parameters, input }
    }

    /// The gradients of all parameters, in their order; none where a parameter had no part in the result.
    pub(super) fn of_parameters(parameters: Vec<Option<Tensor>>) -> Self {
        Self {
            parameters,
            input: None,
        }
    }

    /// What [`Self::of_parameters`] is made of.
    pub(super) fn into_parameters(self) -> Vec<Option<Tensor>> {
        self.parameters
    }

    /// The gradient of a parameter; none where the parameter had no part in the result.
    pub fn parameter(&self, parameter: &Param) -> Option<&Tensor> {
        self.parameters.get(parameter.index())?.as_ref()
    }

    /// The sums of these gradients of parameters and those of another pass through the same network.
    pub fn plus(self, other: Self) -> Result<Self> {
        let mut parameters = self.parameters;
        parameters.resize(parameters.len().max(other.parameters.len()), None);
        for (sum, further) in parameters.iter_mut().zip(other.parameters) {
            *sum = match (sum.take(), further) {
                (Some(a), Some(b)) => Some((a + b)?),
                (a, b) => a.or(b),
            };
        }
        Ok(Self {
            parameters,
            input: None,
        })
    }

    /// The l2 norm of the gradients of `parameters` together, float64 `()`, where they are. Nothing is waited for.
    pub fn norm(&self, parameters: &[Param]) -> Result<Option<Tensor>> {
        let mut squares: Option<Tensor> = None;
        for gradient in parameters.iter().filter_map(|param| self.parameter(param)) {
            let square = length::squared(gradient)?;
            squares = Some(match squares {
                Some(sum) => (sum + square)?,
                None => square,
            });
        }
        Ok(squares.map(|sum| sum.sqrt()).transpose()?)
    }

    /// The gradients of parameters, each times `factor`, float64 `()`.
    pub fn times(&self, factor: &Tensor) -> Result<Self> {
        let parameters = self.parameters.iter().map(|gradient| match gradient {
            Some(gradient) => {
                let factor = factor.to_dtype(gradient.dtype())?;
                Ok(Some(gradient.broadcast_mul(&factor)?))
            }
            None => Ok(None),
        });
        Ok(Self::of_parameters(parameters.collect::<Result<_>>()?))
    }

    /// These gradients with that of the input from another pass.
    pub fn with_input(self, input: Tensor) -> Self {
        Self {
            input: Some(input),
            ..self
        }
    }

    /// The gradient with respect to the input, `(N, C, H, W)`.
    pub fn image(&self) -> Result<&Tensor> {
        self.input.as_ref().ok_or_else(|| Error::failed(NO_INPUT))
    }

    /// What [`Self::image`] gives, taken out.
    pub fn input(self) -> Result<Tensor> {
        self.input.ok_or_else(|| Error::failed(NO_INPUT))
    }
}
