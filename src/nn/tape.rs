//! The reverse mode: a forward call records what its backward needs, one walk in reverse order computes gradients.
//!
//! What a pass is for is said before it starts ([`Pass`]): which gradients are wanted, and which activations have a
//! linear backward. So a layer keeps only what will be read: a pass for the input's gradient keeps no input of
//! a convolution, one without gradients keeps nothing. Linear backpropagation is decided here and nowhere else.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use candle_core::Tensor;

use super::gradients::{Grad, GradientStore, Gradients, Rule};
use super::pass::{Coordinates, Mode, Pass, Tap};
use super::plan::BackwardPlan;
use super::trace::{Operation, Traced};
use crate::ops::rescale::to_norms_of;
use crate::{Error, Result};

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

    /// Whether this value's gradient is needed.
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

type Backward = Box<dyn Fn(Grad, &mut GradientStore) -> Result<()>>;

struct Node {
    output: usize,
    backward: Backward,
}

/// A residual branch whose gradient is rescaled where it leaves the branch at its start.
struct Branch {
    /// The value at its start, whose node comes right before the branch's.
    start: usize,
    /// The value at its end.
    end: usize,
    nodes: Range<usize>,
}

/// The record of one forward pass.
pub struct Tape {
    pass: Pass,
    coordinates: Option<Tensor>,
    nodes: RefCell<Vec<Node>>,
    values: Cell<usize>,
    input: Cell<Option<usize>>,
    branches: RefCell<Vec<Branch>>,
    /// Inside a branch that may have to be rescaled: whether one of its activations is linear.
    inside: Cell<Option<bool>>,
    /// The number of the first activation of the network that runs.
    first_activation: Cell<usize>,
    /// What a tap found.
    features: RefCell<Option<Var>>,
    /// What the layers computed, where that is asked for.
    trace: Option<RefCell<Vec<Traced>>>,
}

impl Tape {
    /// An empty tape for the given pass.
    pub fn new(pass: Pass) -> Self {
        Self {
            pass,
            coordinates: None,
            nodes: RefCell::default(),
            values: Cell::default(),
            input: Cell::default(),
            branches: RefCell::default(),
            inside: Cell::default(),
            first_activation: Cell::default(),
            features: RefCell::default(),
            trace: None,
        }
    }

    /// An empty tape on which layers say what they compute. Every value that depends on the input has its place on it.
    pub(super) fn traced() -> Self {
        let pass = Pass::attack(BackwardPlan::none(), Mode::Eval, Coordinates::default());
        Self {
            trace: Some(RefCell::default()),
            ..Self::new(pass)
        }
    }

    /// Whether layers say what they compute, each for itself.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// What the layers said.
    pub(super) fn into_trace(self) -> Vec<Traced> {
        self.trace.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Says what `y` was computed of and how, where that is asked for.
    pub fn trace<'a>(
        &self,
        y: &Var,
        inputs: impl IntoIterator<Item = &'a Var>,
        operations: impl FnOnce() -> Vec<Operation>,
    ) {
        let (Some(trace), Some(output)) = (&self.trace, y.id) else {
            return;
        };
        let inputs: Vec<&Var> = inputs.into_iter().collect();
        let ids: Option<Vec<usize>> = inputs.iter().map(|x| x.id).collect();
        if let (Some(ids), Some(first)) = (ids, inputs.first()) {
            trace.borrow_mut().push(Traced {
                inputs: ids,
                dims: first.dims().to_vec(),
                operations: operations(),
                output,
            });
        }
    }

    /// An empty tape for a training pass that is recorded: its coordinates are in `coordinates`, int64 `(3)`, when it is
    /// replayed.
    pub(super) fn recorded(plan: BackwardPlan, coordinates: Tensor) -> Self {
        Self {
            coordinates: Some(coordinates),
            ..Self::new(Pass::training(plan, Coordinates::default()))
        }
    }

    /// Where the coordinates of a recorded pass are.
    pub(super) fn coordinates(&self) -> Option<&Tensor> {
        self.coordinates.as_ref()
    }

    /// What the pass is for.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Whether gradients of parameters are wanted.
    pub fn wants_parameters(&self) -> bool {
        self.pass.parameters
    }

    /// Which backward pass the activation with this index gets.
    pub fn rule(&self, activation: usize) -> Rule {
        let activation = self.first_activation.get() + activation;
        match (self.pass.plan.rule(activation), self.inside.get()) {
            (Rule::Linear, Some(_)) => {
                self.inside.set(Some(true));
                Rule::TrueNorms
            }
            (rule, _) => rule,
        }
    }

    /// Runs a network of several, whose activations are numbered from `first` on.
    pub(super) fn numbered_from<T>(&self, first: usize, run: impl FnOnce() -> T) -> T {
        let before = self.first_activation.replace(first);
        let result = run();
        self.first_activation.set(before);
        result
    }

    /// Puts the network's input on the tape.
    pub fn input(&self, tensor: &Tensor) -> Var {
        match self.pass.input {
            true => self.leaf(tensor),
            false => Var {
                tensor: tensor.clone(),
                id: None,
            },
        }
    }

    /// The value whose gradient the pass is for.
    fn leaf(&self, tensor: &Tensor) -> Var {
        let id = Some(self.next_id());
        self.input.set(id);
        Var {
            tensor: tensor.clone(),
            id,
        }
    }

    /// The output `y` of the activation with this index, as the layers behind it are to take it.
    ///
    /// # Errors
    /// The end of the pass, where it ends there: no failure for who asked for it and finds [`Self::features`].
    pub(super) fn tapped(&self, activation: usize, y: Var) -> Result<Var> {
        let activation = self.first_activation.get() + activation;
        let (y, is_end) = match self.pass.tap {
            Some(Tap::End(at)) if at == activation => (y, true),
            Some(Tap::Start(at)) if at == activation => (self.leaf(&y.tensor), false),
            _ => return Ok(y),
        };
        self.features.replace(Some(y.clone()));
        match is_end {
            true => Err(Error::failed("the pass ends with these features")),
            false => Ok(y),
        }
    }

    /// The features that the pass was to tap, where it came to them.
    pub(super) fn features(&self) -> Option<Var> {
        self.features.borrow().clone()
    }

    /// Records a value. `backward` gets its gradient and hands gradients on; where they are not needed (`wanted` is
    /// false) it is dropped at once, and with it whatever it kept.
    pub fn record(
        &self,
        tensor: Tensor,
        wanted: bool,
        backward: impl Fn(Grad, &mut GradientStore) -> Result<()> + 'static,
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

    /// Records a value that was computed of `x` alone. `backward` makes the gradient of `x` of the value's.
    pub fn record_of(
        &self,
        x: &Var,
        tensor: Tensor,
        backward: impl Fn(&Tensor) -> Result<Tensor> + 'static,
    ) -> Var {
        let id = x.id;
        self.record(tensor, id.is_some(), move |dy, gradients| {
            gradients.add(id, Grad::new(backward(dy.tensor())?))
        })
    }

    fn next_id(&self) -> usize {
        self.values.replace(self.values.get() + 1)
    }

    /// Runs a residual branch from `x` to what `branch` returns. This is where a plan that rescales branches, or multiplies
    /// their gradients, acts; what follows the returned value is not part of it, which changes nothing if it is linear, as a
    /// batch norm is.
    pub fn residual_branch(
        &self,
        x: &Var,
        branch: impl FnOnce(&Var) -> Result<Var>,
    ) -> Result<Var> {
        let x = &self.decayed(x);
        if !self.pass.plan.is_rescaled() || !x.wants_gradient() || self.inside.get().is_some() {
            return branch(x);
        }
        let id = x.id;
        let start = self.record(x.tensor.clone(), true, move |dy, gradients| {
            gradients.add(id, dy)
        });
        let first = self.nodes.borrow().len();
        self.inside.set(Some(false));
        let end = branch(&start);
        let linear = self.inside.take();
        let end = end?;
        if let (Some(true), Some(start), Some(id)) = (linear, start.id, end.id) {
            self.branches.borrow_mut().push(Branch {
                start,
                end: id,
                nodes: first..self.nodes.borrow().len(),
            });
        }
        Ok(end)
    }

    /// `x` as a residual branch takes it: its gradient from there is multiplied by what the plan says.
    fn decayed(&self, x: &Var) -> Var {
        let Some(decay) = self.pass.plan.branch_decay() else {
            return x.clone();
        };
        let id = x.id;
        self.record(x.tensor.clone(), id.is_some(), move |dy, gradients| {
            let dy = match gradients.is_true_norm_pass() {
                true => dy,
                false => Grad::new((dy.tensor() * decay)?),
            };
            gradients.add(id, dy)
        })
    }

    /// Walks the tape back from `result`, whose gradient is `gradient`. Each node is released as soon as it was used.
    pub fn backward(self, result: &Var, gradient: Tensor) -> Result<Gradients> {
        let mut gradients = GradientStore::new(self.values.get());
        gradients.add(result.id, Grad::new(gradient))?;
        let mut nodes = self.nodes.into_inner();
        let mut branches = self.branches.into_inner();
        // The start of the branch that the walk is in, and its gradient by the true derivatives.
        let mut true_norms: Option<(usize, Option<Grad>)> = None;
        while !nodes.is_empty() {
            if let Some(branch) = branches.pop_if(|branch| branch.nodes.end == nodes.len()) {
                let gradient = rehearse(&nodes[branch.nodes.clone()], &branch, &mut gradients)?;
                true_norms = Some((branch.start, gradient));
            }
            let Some(node) = nodes.pop() else { break };
            let Some(mut gradient) = gradients.take(node.output) else {
                continue;
            };
            if let Some((_, truth)) = true_norms.take_if(|(start, _)| *start == node.output) {
                gradient = match truth {
                    Some(truth) => Grad::new(to_norms_of(gradient.tensor(), truth.tensor())?),
                    None => gradient,
                };
            }
            (node.backward)(gradient, &mut gradients)?;
        }
        let input = self.input.get().and_then(|id| gradients.take(id));
        let input = input.map(|grad| grad.tensor().clone());
        Ok(Gradients::of(gradients.into_parameters(), input))
    }
}

/// Walks a branch with the true derivatives, from the gradient that its end has. Returns the gradient at its start and
/// leaves everything else as it was.
fn rehearse(
    nodes: &[Node],
    branch: &Branch,
    gradients: &mut GradientStore,
) -> Result<Option<Grad>> {
    let Some(gradient) = gradients.take(branch.end) else {
        return Ok(None);
    };
    gradients.start_true_norm_pass(branch.start);
    gradients.add(Some(branch.end), gradient.clone())?;
    for node in nodes.iter().rev() {
        if let Some(gradient) = gradients.take(node.output) {
            (node.backward)(gradient, gradients)?;
        }
    }
    gradients.end_true_norm_pass();
    let at_start = gradients.take(branch.start);
    gradients.add(Some(branch.end), gradient)?;
    Ok(at_start)
}
