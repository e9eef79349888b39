//! The reverse mode: a forward call records what its backward needs, one walk in reverse order computes gradients.
//!
//! What a pass is for is said before it starts ([`Pass`]): which gradients are wanted, and which activations have a
//! linear backward. So a layer keeps only what somebody will read: a pass for the input's gradient keeps no input of
//! a convolution, one without gradients keeps nothing. Linear backpropagation is decided here and nowhere else.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::{Shape, Tensor};

use super::param::Param;
use crate::ops::elementwise;
use crate::{Error, Result};

/// How layers that differ between training and evaluation behave: batch norm and dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, running statistics move, dropout drops.
    Train,
    /// Running statistics, no dropout.
    Eval,
}

/// Which activations let the gradient through unchanged (LinBP), by the index that the builder gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinearPlan(Arc<[bool]>);

impl LinearPlan {
    /// The plan in which `linear[i]` says whether activation `i` is linear backwards.
    pub fn new(linear: Vec<bool>) -> Self {
        Self(linear.into())
    }

    /// Every activation with its true derivative: ordinary backpropagation.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether activation `index` is linear backwards.
    pub fn is_linear(&self, index: usize) -> bool {
        self.0.get(index).copied().unwrap_or(false)
    }
}

/// Where in a run a pass happens: dropout masks are a function of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coordinates {
    pub seed: u64,
    pub epoch: u64,
    pub batch: u64,
}

/// What a forward and backward pass is for.
#[derive(Clone, Debug)]
pub struct Pass {
    pub mode: Mode,
    /// Whether gradients with respect to parameters are wanted.
    pub parameters: bool,
    /// Whether the gradient with respect to the input is wanted.
    pub input: bool,
    pub plan: LinearPlan,
    pub at: Coordinates,
}

impl Pass {
    /// A forward pass in evaluation mode, without gradients.
    pub fn inference() -> Self {
        Self {
            mode: Mode::Eval,
            parameters: false,
            input: false,
            plan: LinearPlan::none(),
            at: Coordinates::default(),
        }
    }

    /// A training pass: gradients with respect to the parameters.
    pub fn training(plan: LinearPlan, at: Coordinates) -> Self {
        Self {
            mode: Mode::Train,
            parameters: true,
            input: false,
            plan,
            at,
        }
    }

    /// An attack's pass: the gradient with respect to the input.
    pub fn attack(plan: LinearPlan, mode: Mode, at: Coordinates) -> Self {
        Self {
            mode,
            parameters: false,
            input: true,
            plan,
            at,
        }
    }
}

/// A value of a pass: a tensor, and its place on the tape where its gradient is wanted.
#[derive(Clone, Debug)]
pub struct Var {
    tensor: Tensor,
    id: Option<usize>,
}

impl Var {
    /// The value's numbers.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Whether anybody wants this value's gradient.
    pub fn wants_gradient(&self) -> bool {
        self.id.is_some()
    }

    /// The handle under which the backward pass adds to this value's gradient.
    pub fn id(&self) -> Option<usize> {
        self.id
    }

    /// The dimensions of the value.
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }
}

/// The gradient of a value, which several backward closures may hold at once.
#[derive(Clone, Debug)]
pub struct Grad {
    tensor: Tensor,
    /// Counts who holds these numbers: a tensor does not tell, and only a sole holder may change them in place.
    holders: Rc<()>,
}

impl Grad {
    /// A gradient that nobody else holds.
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

type Backward = Box<dyn FnOnce(Grad, &mut Sink) -> Result<()>>;

struct Node {
    output: usize,
    backward: Backward,
}

/// Where a backward closure puts the gradients that it computed.
pub struct Sink {
    values: Vec<Option<Grad>>,
    parameters: Vec<Option<Tensor>>,
}

impl Sink {
    /// Adds to the gradient of the value with handle `id`. The first gradient is moved in, later ones are added in
    /// place unless somebody else still holds what is there.
    pub fn add(&mut self, id: Option<usize>, grad: Grad) -> Result<()> {
        let Some(id) = id else {
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

/// The gradients that a pass wanted.
pub struct Gradients {
    parameters: Vec<Option<Tensor>>,
    input: Option<Tensor>,
}

impl Gradients {
    /// The gradient of a parameter; none where the parameter had no part in the result.
    pub fn parameter(&self, parameter: &Param) -> Option<&Tensor> {
        self.parameters.get(parameter.index())?.as_ref()
    }

    /// The gradient with respect to the input, `(N, C, H, W)`.
    pub fn input(self) -> Result<Tensor> {
        self.input
            .ok_or_else(|| Error::failed("the pass was not asked for the input's gradient"))
    }
}

/// The record of one forward pass.
pub struct Tape {
    pass: Pass,
    nodes: RefCell<Vec<Node>>,
    values: RefCell<usize>,
    input: RefCell<Option<usize>>,
}

impl Tape {
    /// An empty tape for the given pass.
    pub fn new(pass: Pass) -> Self {
        Self {
            pass,
            nodes: RefCell::default(),
            values: RefCell::default(),
            input: RefCell::default(),
        }
    }

    /// What the pass is for.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Whether gradients of parameters are wanted.
    pub fn wants_parameters(&self) -> bool {
        self.pass.parameters
    }

    /// Whether the activation with this index is linear backwards.
    pub fn is_linear(&self, activation: usize) -> bool {
        self.pass.plan.is_linear(activation)
    }

    /// Puts the network's input on the tape.
    pub fn input(&self, tensor: &Tensor) -> Var {
        let id = self.pass.input.then(|| self.next_id());
        if id.is_some() {
            *self.input.borrow_mut() = id;
        }
        Var {
            tensor: tensor.clone(),
            id,
        }
    }

    /// Records a value. `backward` gets its gradient and hands gradients on; where nobody wants them (`wanted` is
    /// false) it is dropped at once, and with it whatever it kept.
    pub fn record(
        &self,
        tensor: Tensor,
        wanted: bool,
        backward: impl FnOnce(Grad, &mut Sink) -> Result<()> + 'static,
    ) -> Var {
        if !wanted {
            return Var { tensor, id: None };
        }
        let output = self.next_id();
        self.nodes.borrow_mut().push(Node {
            output,
            backward: Box::new(backward),
        });
        Var {
            tensor,
            id: Some(output),
        }
    }

    fn next_id(&self) -> usize {
        let mut values = self.values.borrow_mut();
        *values += 1;
        *values - 1
    }

    /// Walks the tape back from `result`, whose gradient is `gradient`. Each node is released as soon as it was used.
    pub fn backward(self, result: &Var, gradient: Tensor) -> Result<Gradients> {
        let mut sink = Sink {
            values: vec![None; self.values.into_inner()],
            parameters: Vec::new(),
        };
        sink.add(result.id, Grad::new(gradient))?;
        for node in self.nodes.into_inner().into_iter().rev() {
            if let Some(gradient) = sink.values[node.output].take() {
                (node.backward)(gradient, &mut sink)?;
            }
        }
        let input = self
            .input
            .into_inner()
            .and_then(|id| sink.values[id].take());
        Ok(Gradients {
            parameters: sink.parameters,
            input: input.map(|grad| grad.tensor().clone()),
        })
    }
}
