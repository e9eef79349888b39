//! What a forward and backward pass is for, said before it starts.

use std::sync::Arc;

/// How layers that differ between training and evaluation behave: batch norm and dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, running statistics move, dropout drops.
    Train,
    /// Running statistics, no dropout.
    Eval,
}

/// Which activations let the gradient through unchanged (LinBP), by the index that the builder gave them, and what is
/// done about residual branches that grow by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinearPlan {
    linear: Arc<[bool]>,
    rescaled: bool,
}

impl LinearPlan {
    /// The plan in which `linear[i]` says whether activation `i` is linear backwards.
    pub fn new(linear: Vec<bool>) -> Self {
        Self {
            linear: linear.into(),
            rescaled: false,
        }
    }

    /// Every activation with its true derivative: ordinary backpropagation.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same plan with residual branches rescaled (Guo, Li and Chen, NeurIPS 2020, arXiv 2012.03528): where
    /// activations inside a branch are linear, each example's gradient that leaves the branch at its start is brought to
    /// the l2 norm that it would have with the true derivatives, so that branch and shortcut keep their proportion.
    pub fn rescaled(self) -> Self {
        Self {
            rescaled: true,
            ..self
        }
    }

    /// Whether activation `index` is linear backwards.
    pub fn is_linear(&self, index: usize) -> bool {
        self.linear.get(index).copied().unwrap_or(false)
    }

    /// Whether residual branches are rescaled.
    pub fn is_rescaled(&self) -> bool {
        self.rescaled
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
    /// Stands in for the momentum by which running statistics move in training mode.
    pub momentum: Option<f64>,
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
            momentum: None,
        }
    }

    /// A pass in training mode without gradients, by which running statistics move as `momentum` says.
    pub fn statistics(momentum: f64, at: Coordinates) -> Self {
        Self {
            mode: Mode::Train,
            at,
            momentum: Some(momentum),
            ..Self::inference()
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
            momentum: None,
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
            momentum: None,
        }
    }
}
