//! Batch normalisation layer, with the residual sum and the activation that follow it.

use super::activation::Act;
use super::builder::Builder;
use super::gradients::{Grad, Rule};
use super::init::Init;
use super::param::Param;
use super::pass::Mode;
use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops::activation::{self, Activation};
use crate::ops::batch_norm::{self as op, Affine};

/// torch's defaults, which every architecture here uses; networks from outside may have others.
const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Batch normalisation over channels. Running statistics move by `momentum * (batch - running)` in training mode, the
/// variance's unbiased; the forward pass itself uses the biased one.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    pub weight: Param,
    pub bias: Param,
    pub running_mean: Param,
    pub running_var: Param,
    /// Added to the variance.
    pub eps: f64,
    pub momentum: f64,
}

/// A batch normalisation of `channels` channels.
pub fn batch_norm2d(b: &Builder, channels: usize) -> Result<BatchNorm2d> {
    Ok(BatchNorm2d {
        weight: b.parameter("weight", &[channels], Init::Constant(1.0))?,
        bias: b.parameter("bias", &[channels], Init::Constant(0.0))?,
        running_mean: b.buffer("running_mean", &[channels], 0.0)?,
        running_var: b.buffer("running_var", &[channels], 1.0)?,
        eps: EPS,
        momentum: MOMENTUM,
    })
}

impl BatchNorm2d {
    /// `bn(x)`
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.run(tape, x, None, None)
    }

    /// `act(bn(x))`, in one pass over memory.
    pub fn forward_act(&self, tape: &Tape, x: &Var, act: &Act) -> Result<Var> {
        self.run(tape, x, None, Some(act))
    }

    /// `act(bn(x) + residual)`: the end of a residual block.
    pub fn forward_add_act(&self, tape: &Tape, x: &Var, residual: &Var, act: &Act) -> Result<Var> {
        self.run(tape, x, Some(residual), Some(act))
    }

    /// `bn(x) + residual`: the end of a block with a linear bottleneck.
    pub fn forward_add(&self, tape: &Tape, x: &Var, residual: &Var) -> Result<Var> {
        self.run(tape, x, Some(residual), None)
    }

    /// What the operation takes of the layer.
    pub(super) fn affine(&self) -> Affine<'_> {
        Affine {
            gamma: self.weight.tensor(),
            beta: self.bias.tensor(),
            running_mean: self.running_mean.tensor(),
            running_var: self.running_var.tensor(),
            eps: self.eps,
        }
    }

    /// `act(bn(x) + residual)`, the last two as far as they are given.
    pub(super) fn run(
        &self,
        tape: &Tape,
        x: &Var,
        residual: Option<&Var>,
        act: Option<&Act>,
    ) -> Result<Var> {
        let affine = self.affine();
        let kind = act.map_or(Activation::Identity, Act::kind);
        let rule = act.map_or(Rule::True, |act| act.rule(tape));
        // Two branches need the gradient before the sum, so it is computed once, from what the activation's derivative
        // can be told from: mostly the output, else the sum itself, as for a surrogate.
        let is_surrogate = rule.is_surrogate();
        let pulled = is_surrogate
            || residual.is_some() && rule != Rule::Linear && kind != Activation::Identity;
        let apart = pulled && (is_surrogate || !kind.derivative_from_output());
        let fused = if apart { Activation::Identity } else { kind };
        let sum = residual.map(Var::tensor);
        let (z, saved) = match tape.pass().mode {
            Mode::Train => {
                let momentum = tape.pass().momentum.unwrap_or(self.momentum);
                op::train(x.tensor(), &affine, momentum, sum, fused)?
            }
            Mode::Eval => op::evaluate(x.tensor(), &affine, sum, fused)?,
        };
        let y = if apart {
            activation::forward(&z, kind)?
        } else {
            z.clone()
        };

        let wants_parameters = tape.wants_parameters();
        let (x_id, residual_id) = (x.id(), residual.and_then(Var::id));
        let wanted = wants_parameters || x_id.is_some() || residual_id.is_some();
        let told_from = pulled.then_some(z);
        let (input, layer) = (x.tensor().clone(), self.clone());
        let y = tape.record(y, wanted, move |dy, gradients| {
            let linear = gradients.is_linear(rule);
            let dz = match &told_from {
                Some(z) if !linear => Grad::new(rule.backward(dy.tensor(), z, kind)?),
                _ => dy,
            };
            let found = op::backward(
                dz.tensor(),
                &input,
                &saved,
                linear || pulled,
                x_id.is_some(),
                wants_parameters && gradients.takes_parameters(),
            )?;
            if let Some((gamma, beta)) = found.parameters {
                gradients.parameter(&layer.weight, gamma)?;
                gradients.parameter(&layer.bias, beta)?;
            }
            gradients.add(residual_id, dz)?;
            match found.input {
                Some(dx) => gradients.add(x_id, Grad::new(dx)),
                None => Ok(()),
            }
        });
        tape.trace(&y, [x].into_iter().chain(residual), || {
            let sum = residual.map(|_| Operation::Add);
            let act = act.copied().map(Operation::Activation);
            let norm = Operation::Norm(self.clone());
            [Some(norm), sum, act].into_iter().flatten().collect()
        });
        match act {
            Some(act) => tape.tapped(act.index(), y),
            None => Ok(y),
        }
    }
}
