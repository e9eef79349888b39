//! What a forward and backward pass is for, said before it starts.

use super::plan::BackwardPlan;

/// How layers that differ between training and evaluation behave: batch norm and dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, running statistics move, dropout drops.
    Train,
    /// Running statistics, no dropout.
    Eval,
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
    pub plan: BackwardPlan,
    pub at: Coordinates,
    /// Stands in for the momentum by which running statistics move in training mode.
    pub momentum: Option<f64>,
    /// What the output of an activation, its features, is wanted for, where it is.
    pub tap: Option<Tap>,
}

/// What the features at the activation with this index are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tap {
    /// For themselves: the pass ends there.
    End(usize),
    /// For the gradient with respect to them, which takes the place of that with respect to the input.
    Start(usize),
}

impl Pass {
    /// A forward pass in evaluation mode, without gradients.
    pub fn inference() -> Self {
        Self {
            mode: Mode::Eval,
            parameters: false,
            input: false,
            plan: BackwardPlan::none(),
            at: Coordinates::default(),
            momentum: None,
            tap: None,
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
    pub fn training(plan: BackwardPlan, at: Coordinates) -> Self {
        Self {
            mode: Mode::Train,
            parameters: true,
            input: false,
            plan,
            at,
            momentum: None,
            tap: None,
        }
    }

    /// An attack's pass: the gradient with respect to the input.
    pub fn attack(plan: BackwardPlan, mode: Mode, at: Coordinates) -> Self {
        Self {
            mode,
            parameters: false,
            input: true,
            plan,
            at,
            momentum: None,
            tap: None,
        }
    }
}
