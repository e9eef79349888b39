//! Batch normalisation, see [`crate::ops::batch_norm`]. Statistics never leave the card.

use candle_core::{D, DType, Tensor};

use super::activation::number;
use super::columns::{Columns, Parts, pack};
use super::{Call, Card, expect, same, suffix};
use crate::ops::activation::Activation;
use crate::ops::batch_norm::{Affine, Gradients};
use crate::{Error, Result};

const MODULE: &str = "batch_norm";

/// Elements that a thread reads at once, as in the kernels.
const PACKED: usize = 4;
/// Rows that a thread adds up in float32 before sums go on in float64.
const SUMMED: usize = 32;
/// Rows that a thread writes.
const WRITTEN: usize = 8;
/// Columns that a block folds, as in the kernels.
const FOLDED: usize = 8;

/// What the backward pass needs besides `x`.
#[derive(Clone, Debug)]
pub struct Saved {
    /// float32 `(4, C)`: scale, offset, mean and `1 / sqrt(var + eps)` of each channel, see the kernels.
    channels: Tensor,
    /// Elements of a channel.
    count: usize,
    activation: Activation,
    /// Whether mean and variance depend on x (training mode).
    batch_statistics: bool,
}

/// The sizes of a pass.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    channels: usize,
}

impl Sizes {
    fn of(x: &Tensor) -> Result<Self> {
        let channels = x.dim(D::Minus1)?;
        if x.elem_count() == 0 {
            return Err(Error::failed(format!(
                "batch normalisation of an empty tensor {:?}",
                x.dims()
            )));
        }
        let rows = x.elem_count() / channels;
        expect::indexable("batch normalisation: channels", &[4, channels])?;
        expect::indexable("batch normalisation: rows", &[rows])?;
        Ok(Self { rows, channels })
    }

    /// A kernel that goes down columns, with the arguments that say how; they follow all others but the activation.
    fn launch(
        self,
        call: impl FnOnce(Call) -> Call,
        (kernel, suffix): (&'static str, &'static str),
        (columns, parts): (Columns, Parts),
    ) -> Call {
        let grid = [parts.count as u32, columns.tiles as u32, 1];
        call(Call::blocks(MODULE, kernel, grid).of(suffix))
            .size(self.rows)
            .int(self.channels)
            .int(columns.pack)
            .int(columns.width)
            .int(parts.stretch)
    }

    /// Blocks of a kernel that folds partial sums.
    fn folds(self) -> [u32; 3] {
        [self.channels.div_ceil(FOLDED) as u32, 1, 1]
    }
}

fn check(affine: &Affine<'_>, channels: usize) -> Result<()> {
    for (what, tensor) in [
        ("batch normalisation: gamma", affine.gamma),
        ("batch normalisation: beta", affine.beta),
        ("batch normalisation: running mean", affine.running_mean),
        ("batch normalisation: running variance", affine.running_var),
    ] {
        expect::tensor(what, tensor, &[channels], DType::F32)?;
    }
    Ok(())
}

/// The forward pass in training: with the batch's statistics, which the running ones move towards by `momentum`, in
/// place, the variance's unbiased. `residual` has x's shape and is added before the activation.
pub fn train(
    card: &dyn Card,
    x: &Tensor,
    affine: &Affine<'_>,
    momentum: f64,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, Saved)> {
    let sizes = Sizes::of(x)?;
    let Sizes { rows, channels } = sizes;
    check(affine, channels)?;
    let columns = Columns::new(channels, pack(card, channels, PACKED, &[x])?, usize::MAX);
    let parts = columns.parts(rows, SUMMED);
    let partial = card.scratch(&[parts.count, 2, channels], DType::F64)?;
    let saved = card.scratch(&[4, channels], DType::F32)?;
    let suffix = suffix(x.dtype())?;
    let (from, to) = (card.address(x)?, card.address(&partial)?);
    card.launch(&sizes.launch(
        |call| call.pointer(from).pointer(to),
        ("batch_norm_moments", suffix),
        (columns, parts),
    ))?;
    card.launch(
        &Call::blocks(MODULE, "batch_norm_statistics", sizes.folds())
            .of(suffix)
            .pointer(to)
            .int(parts.count)
            .pointer(from)
            .size(rows)
            .int(channels)
            .pointer(card.address(affine.gamma)?)
            .pointer(card.address(affine.beta)?)
            .pointer(card.address(affine.running_mean)?)
            .pointer(card.address(affine.running_var)?)
            .double(affine.eps)
            .double(momentum)
            .pointer(card.address(&saved)?),
    )?;
    let saved = Saved {
        channels: saved,
        count: rows,
        activation,
        batch_statistics: true,
    };
    Ok((normalise(card, x, residual, &saved)?, saved))
}

/// The forward pass in evaluation: with the running statistics.
pub fn evaluate(
    card: &dyn Card,
    x: &Tensor,
    affine: &Affine<'_>,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, Saved)> {
    let Sizes { rows, channels } = Sizes::of(x)?;
    check(affine, channels)?;
    let saved = card.scratch(&[4, channels], DType::F32)?;
    card.launch(
        &Call::elements(MODULE, "batch_norm_constants", channels)
            .pointer(card.address(affine.gamma)?)
            .pointer(card.address(affine.beta)?)
            .pointer(card.address(affine.running_mean)?)
            .pointer(card.address(affine.running_var)?)
            .int(channels)
            .double(affine.eps)
            .pointer(card.address(&saved)?),
    )?;
    let saved = Saved {
        channels: saved,
        count: rows,
        activation,
        batch_statistics: false,
    };
    Ok((normalise(card, x, residual, &saved)?, saved))
}

fn normalise(
    card: &dyn Card,
    x: &Tensor,
    residual: Option<&Tensor>,
    saved: &Saved,
) -> Result<Tensor> {
    let sizes = Sizes::of(x)?;
    let y = card.scratch(x.dims(), x.dtype())?;
    let mut tensors = vec![x, &y, &saved.channels];
    if let Some(residual) = residual {
        same("batch normalisation's residual", residual, x)?;
        tensors.push(residual);
    }
    let pack = pack(card, sizes.channels, PACKED, &tensors)?;
    let columns = Columns::new(sizes.channels, pack, usize::MAX);
    let (from, to) = (card.address(x)?, card.address(&y)?);
    let residual = residual.map_or(Ok(0), |residual| card.address(residual))?;
    let constants = card.address(&saved.channels)?;
    let call = sizes.launch(
        |call| {
            call.pointer(from)
                .pointer(residual)
                .pointer(constants)
                .pointer(to)
        },
        ("batch_norm_forward", suffix(x.dtype())?),
        (columns, columns.parts(sizes.rows, WRITTEN)),
    );
    card.launch(&call.int(number(saved.activation)))?;
    Ok(y)
}

/// The backward pass. `dy` is the gradient of the output; with a residual the caller pulls `dy` through the activation
/// first and passes `linear`, as on the CPU.
pub fn backward(
    card: &dyn Card,
    dy: &Tensor,
    x: &Tensor,
    saved: &Saved,
    linear: bool,
    want_input: bool,
    want_parameters: bool,
) -> Result<Gradients> {
    same("batch normalisation's gradient", dy, x)?;
    let sizes = Sizes::of(x)?;
    let Sizes { rows, channels } = sizes;
    if (saved.count, saved.channels.dims()) != (rows, &[4, channels][..]) {
        return Err(Error::failed(format!(
            "batch normalisation: {rows} rows of {channels} channels, the forward pass had {} of {:?}",
            saved.count,
            saved.channels.dims()
        )));
    }
    let kind = match linear {
        true => Activation::Identity,
        false => saved.activation,
    };
    let suffix = suffix(x.dtype())?;
    let (gradient, input) = (card.address(dy)?, card.address(x)?);
    let constants = card.address(&saved.channels)?;

    let mut parameters = None;
    let mut from_x = None;
    if want_parameters || saved.batch_statistics && want_input {
        let pack = pack(card, channels, PACKED, &[dy, x, &saved.channels])?;
        let columns = Columns::new(channels, pack, usize::MAX);
        let parts = columns.parts(rows, SUMMED);
        let partial = card.scratch(&[parts.count, 2, channels], DType::F64)?;
        let sums = card.address(&partial)?;
        let call = sizes.launch(
            |call| {
                call.pointer(gradient)
                    .pointer(input)
                    .pointer(constants)
                    .pointer(sums)
            },
            ("batch_norm_gradient_sums", suffix),
            (columns, parts),
        );
        card.launch(&call.int(number(kind)))?;
        if want_parameters {
            let gamma = card.scratch(&[channels], DType::F32)?;
            parameters = Some((gamma, card.scratch(&[channels], DType::F32)?));
        }
        if saved.batch_statistics && want_input {
            from_x = Some(card.scratch(&[2, channels], DType::F32)?);
        }
        let optional = |tensor: Option<&Tensor>| tensor.map_or(Ok(0), |t| card.address(t));
        card.launch(
            &Call::blocks(MODULE, "batch_norm_gradients", sizes.folds())
                .pointer(sums)
                .int(parts.count)
                .size(rows)
                .int(channels)
                .pointer(constants)
                .pointer(optional(parameters.as_ref().map(|(gamma, _)| gamma))?)
                .pointer(optional(parameters.as_ref().map(|(_, beta)| beta))?)
                .pointer(optional(from_x.as_ref())?),
        )?;
    }

    let mut dx = None;
    if want_input {
        let out = card.scratch(x.dims(), x.dtype())?;
        let mut tensors = vec![dy, x, &out, &saved.channels];
        tensors.extend(&from_x);
        let pack = pack(card, channels, PACKED, &tensors)?;
        let columns = Columns::new(channels, pack, usize::MAX);
        let to = card.address(&out)?;
        let from_x = from_x.as_ref().map_or(Ok(0), |t| card.address(t))?;
        let call = sizes.launch(
            |call| {
                call.pointer(gradient)
                    .pointer(input)
                    .pointer(constants)
                    .pointer(from_x)
                    .pointer(to)
            },
            ("batch_norm_backward", suffix),
            (columns, columns.parts(rows, WRITTEN)),
        );
        card.launch(&call.int(number(kind)))?;
        dx = Some(out);
    }
    Ok(Gradients {
        input: dx,
        parameters,
    })
}

#[cfg(test)]
#[path = "batch_norm_tests.rs"]
mod tests;
