//! Batch normalisation on a card. Statistics never leave the card.

use candle_core::{D, DType, Tensor};

use super::{Affine, Gradients};
use crate::ops::activation::Activation;
use crate::ops::card::columns::{Columns, FOLDED, Parts, pack};
use crate::ops::card::prepared::{Of, changed, prepared};
use crate::ops::card::{Call, Card, constant, expect, suffix};
use crate::ops::same::same;
use crate::{Error, Result};

const MODULE: &str = "batch_norm";

/// Elements that a thread reads at once.
const PACKED: usize = constant(include_str!("kernel.cu"), "PACKED");
/// Rows that a thread adds up in float32 before sums go on in float64.
const SUMMED: usize = 32;
/// Rows that a thread writes.
const WRITTEN: usize = 8;

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
    fn call<'a>(
        self,
        (kernel, suffix): (&'static str, &'static str),
        tensors: impl IntoIterator<Item = Option<&'a Tensor>>,
        (columns, parts): (Columns, Parts),
    ) -> Call<'a> {
        let grid = [parts.count as u32, columns.tiles as u32, 1];
        let call = Call::blocks(MODULE, kernel, grid).of(suffix);
        let call = tensors.into_iter().fold(call, Call::optional);
        call.size(self.rows)
            .ints([self.channels, columns.pack, columns.width, parts.stretch])
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

pub fn train(
    card: &dyn Card,
    x: &Tensor,
    affine: &Affine<'_>,
    momentum: f64,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, super::Saved)> {
    let sizes = Sizes::of(x)?;
    let Sizes { rows, channels } = sizes;
    check(affine, channels)?;
    let columns = Columns::new(channels, pack(card, channels, PACKED, &[x])?, usize::MAX);
    let parts = columns.parts(rows, SUMMED);
    let partial = card.scratch(&[parts.count, 2, channels], DType::F64)?;
    let saved = card.scratch(&[4, channels], DType::F32)?;
    let suffix = suffix(x.dtype())?;
    card.launch(&sizes.call(
        ("batch_norm_moments", suffix),
        [x, &partial].map(Some),
        (columns, parts),
    ))?;
    card.launch(
        &Call::blocks(MODULE, "batch_norm_statistics", sizes.folds())
            .of(suffix)
            .tensor(&partial)
            .int(parts.count)
            .tensor(x)
            .size(rows)
            .int(channels)
            .tensors([
                affine.gamma,
                affine.beta,
                affine.running_mean,
                affine.running_var,
            ])
            .doubles([affine.eps, momentum])
            .tensor(&saved),
    )?;
    changed(Of::Statistics);
    let saved = Saved {
        channels: saved,
        count: rows,
        activation,
        batch_statistics: true,
    };
    let y = normalise(card, x, residual, &saved)?;
    Ok((y, super::Saved::Card(saved)))
}

pub fn evaluate(
    card: &dyn Card,
    x: &Tensor,
    affine: &Affine<'_>,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, super::Saved)> {
    let Sizes { rows, channels } = Sizes::of(x)?;
    check(affine, channels)?;
    let form = ("batch norm", Of::Statistics);
    let [gamma, beta, mean, var] = [
        affine.gamma,
        affine.beta,
        affine.running_mean,
        affine.running_var,
    ]
    .map(Tensor::clone);
    let eps = affine.eps;
    let shape = (&[4, channels][..], DType::F32);
    let saved = prepared(card, form, affine.gamma, shape, move |card, saved| {
        card.launch(
            &Call::elements(MODULE, "batch_norm_constants", channels)
                .tensors([&gamma, &beta, &mean, &var])
                .int(channels)
                .double(eps)
                .tensor(saved),
        )
    })?;
    let saved = Saved {
        channels: saved,
        count: rows,
        activation,
        batch_statistics: false,
    };
    let y = normalise(card, x, residual, &saved)?;
    Ok((y, super::Saved::Card(saved)))
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
    let call = sizes.call(
        ("batch_norm_forward", suffix(x.dtype())?),
        [Some(x), residual, Some(&saved.channels), Some(&y)],
        (columns, columns.parts(sizes.rows, WRITTEN)),
    );
    card.launch(&call.int(saved.activation as usize))?;
    Ok(y)
}

pub fn backward(
    card: &dyn Card,
    dy: &Tensor,
    x: &Tensor,
    saved: &super::Saved,
    linear: bool,
    want_input: bool,
    want_parameters: bool,
) -> Result<Gradients> {
    let super::Saved::Card(saved) = saved else {
        return Err(Error::failed("a pass on the CPU ended on a card"));
    };
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

    let mut parameters = None;
    let mut from_x = None;
    if want_parameters || saved.batch_statistics && want_input {
        let pack = pack(card, channels, PACKED, &[dy, x, &saved.channels])?;
        let columns = Columns::new(channels, pack, usize::MAX);
        let parts = columns.parts(rows, SUMMED);
        let partial = card.scratch(&[parts.count, 2, channels], DType::F64)?;
        let call = sizes.call(
            ("batch_norm_gradient_sums", suffix),
            [dy, x, &saved.channels, &partial].map(Some),
            (columns, parts),
        );
        card.launch(&call.int(kind as usize))?;
        if want_parameters {
            let gamma = card.scratch(&[channels], DType::F32)?;
            parameters = Some((gamma, card.scratch(&[channels], DType::F32)?));
        }
        if saved.batch_statistics && want_input {
            from_x = Some(card.scratch(&[2, channels], DType::F32)?);
        }
        card.launch(
            &Call::blocks(MODULE, "batch_norm_gradients", sizes.folds())
                .tensor(&partial)
                .int(parts.count)
                .size(rows)
                .int(channels)
                .tensor(&saved.channels)
                .optional(parameters.as_ref().map(|(gamma, _)| gamma))
                .optional(parameters.as_ref().map(|(_, beta)| beta))
                .optional(from_x.as_ref()),
        )?;
    }

    let mut dx = None;
    if want_input {
        let out = card.scratch(x.dims(), x.dtype())?;
        let mut tensors = vec![dy, x, &out, &saved.channels];
        tensors.extend(&from_x);
        let pack = pack(card, channels, PACKED, &tensors)?;
        let columns = Columns::new(channels, pack, usize::MAX);
        let call = sizes.call(
            ("batch_norm_backward", suffix),
            [
                Some(dy),
                Some(x),
                Some(&saved.channels),
                from_x.as_ref(),
                Some(&out),
            ],
            (columns, columns.parts(rows, WRITTEN)),
        );
        card.launch(&call.int(kind as usize))?;
        dx = Some(out);
    }
    Ok(Gradients {
        input: dx,
        parameters,
    })
}

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
