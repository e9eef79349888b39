//! A convolution with the batch norm, the residual sum and the activation that follow it, in evaluation on the CPU: outputs are
//! normalised, and gradients pulled back, part by part beside the products instead of in passes over memory of their own. Bit for
//! bit what the operations one after another give, without the values between them.

use candle_core::Tensor;

use super::cpu::{backward_input_of, forward_with};
use super::finish::{Finish, Gradient, Pull};
use super::geometry::{Geometry, Sizes};
use crate::ops::activation::Activation;
use crate::ops::activation::cpu::with_activation;
use crate::ops::batch_norm::Affine;
use crate::ops::batch_norm::cpu::running_line;
use crate::ops::batch_norm::rows::{normalise_add_here, normalise_here, scaled_by_output, tiled};
use crate::ops::card::card_of;
use crate::ops::real::{tensor, view};
use crate::{Result, with_real};

/// What follows a convolution.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    pub affine: Affine<'a>,
    /// Added before the activation; has the output's shape.
    pub residual: Option<&'a Tensor>,
    /// One whose derivative can be told from the output.
    pub activation: Activation,
}

/// What the backward pass needs beside the output.
#[derive(Clone, Debug)]
pub struct Scaled(Vec<f64>);

/// The output, `(N, OH, OW, out)`, and what its gradient is pulled back by; nothing where convolutions and what follows them have no
/// common form, on a card.
pub fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
    ending: Ending<'_>,
) -> Result<Option<(Tensor, Scaled)>> {
    if card_of(x)?.is_some() {
        return Ok(None);
    }
    let sizes = Sizes::new(x.dims(), weight.dims(), geometry)?;
    let (scale, shift) = running_line(&ending.affine)?;
    let y = with_real!(x.dtype(), T => {
        let (a, b) = (tiled::<T>(&scale), tiled::<T>(&shift));
        let residual = ending.residual.map(view::<T>).transpose()?;
        let finish: &Finish<'_, T> = &|first, y| match &residual {
            None => with_activation!(ending.activation, A => normalise_here::<T, A>(y, &a, &b)),
            Some(residual) => {
                let residual = &residual[first..first + y.len()];
                with_activation!(ending.activation, A => normalise_add_here::<T, A>(y, residual, &a, &b));
            }
        };
        let y = forward_with(&sizes, x, weight, bias, Some(finish))?;
        tensor(y, &sizes.output())
    })?;
    Ok(Some((y, Scaled(scale))))
}

/// The gradient with respect to the input from that of the output; `y` is the output whose activation it goes through, none where
/// that is linear or was gone through before.
pub fn backward_input(
    dy: &Tensor,
    (y, activation): (Option<&Tensor>, Activation),
    scaled: &Scaled,
    weight: &Tensor,
    input: &[usize],
    geometry: Geometry,
) -> Result<Tensor> {
    let sizes = Sizes::new(input, weight.dims(), geometry)?;
    with_real!(dy.dtype(), T => {
        let a = tiled::<T>(&scaled.0);
        let gradient = &*view::<T>(dy)?;
        // Without an activation any number may stand for the output.
        let (y, activation) = match y {
            Some(y) => (view::<T>(y)?, activation),
            None => (view::<T>(dy)?, Activation::Identity),
        };
        let pull: &Pull<'_, T> = &|first, dy, dx| {
            let y = &y[first..first + dy.len()];
            with_activation!(activation, A => scaled_by_output::<T, A>(dy, y, &a, dx));
        };
        backward_input_of(&sizes, Gradient::pulled(gradient, pull), weight)
    })
}
