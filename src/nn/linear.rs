//! Fully connected layer.

use super::builder::Builder;
use super::gradients::Grad;
use super::init::Init;
use super::param::Param;
use super::tape::{Tape, Var};
use super::trace::Operation;
use crate::Result;
use crate::ops::{bias, linear as op};

/// `y = x W^T + b` for `x` of `(N, in)`.
#[derive(Clone, Debug)]
pub struct Linear {
    pub weight: Param,
    pub bias: Option<Param>,
}

/// A linear layer whose weights follow `init`. With torch's default the bias follows it too, else it starts at zero.
pub fn linear(b: &Builder, features: usize, out: usize, init: Init) -> Result<Linear> {
    linear_with(b, features, out, init, true)
}

/// The same layer, whose `bias` it may do without.
pub fn linear_with(
    b: &Builder,
    features: usize,
    out: usize,
    init: Init,
    bias: bool,
) -> Result<Linear> {
    let weight = b.parameter("weight", &[out, features], init)?;
    let bias_init = match init {
        Init::TorchDefault => Init::Uniform {
            bound: 1.0 / (features as f64).sqrt(),
        },
        _ => Init::Constant(0.0),
    };
    let bias = match bias {
        true => Some(b.parameter("bias", &[out], bias_init)?),
        false => None,
    };
    Ok(Linear { weight, bias })
}

impl Linear {
    /// The layer's output, `(N, out)`.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        let bias = self.bias.as_ref().map(Param::tensor);
        let y = op::forward(x.tensor(), self.weight.tensor(), bias)?;
        let wants_parameters = tape.wants_parameters();
        let saved = wants_parameters.then(|| x.tensor().clone());
        let (id, layer) = (x.id(), self.clone());
        let y = tape.record(y, wants_parameters || id.is_some(), move |dy, gradients| {
            let dy = dy.tensor();
            if let (Some(x), true) = (&saved, gradients.takes_parameters()) {
                gradients.parameter(&layer.weight, op::backward_weight(x, dy)?)?;
                if let Some(bias) = &layer.bias {
                    gradients.parameter(bias, bias::gradient(dy)?)?;
                }
            }
            if id.is_some() {
                let dx = op::backward_input(dy, layer.weight.tensor())?;
                gradients.add(id, Grad::new(dx))?;
            }
            Ok(())
        });
        tape.trace(&y, [x], || vec![Operation::Linear(self.clone())]);
        Ok(y)
    }
}
