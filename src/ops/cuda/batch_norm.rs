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
mod tests {
    use super::*;
    use crate::ops::batch_norm::{self as cpu, Moments, Norm};
    use crate::ops::cuda::host::{Host, close, each_type, numbers, within};

    const EPS: f64 = 1e-5;
    const MOMENTUM: f64 = 0.1;
    /// Many rows of few channels, few rows of many, one row; packs and none; ragged tiles, stretches and lanes.
    const SHAPES: [[usize; 4]; 9] = [
        [2, 3, 5, 1],
        [3, 5, 7, 3],
        [2, 17, 19, 5],
        [1, 1, 1, 33],
        [4, 3, 3, 33],
        [2, 9, 7, 64],
        [1, 3, 1, 132],
        [2, 2, 3, 300],
        [3, 67, 41, 8],
    ];

    /// A layer on the card, and the CPU's op in float64 with the same numbers.
    struct Layer {
        gamma: Tensor,
        beta: Tensor,
        mean: Tensor,
        var: Tensor,
    }

    impl Layer {
        fn new(card: &Host, channels: usize) -> Self {
            let tensor = |seed, size, add: f32| {
                let values: Vec<f32> = numbers(&[channels], seed, size)
                    .iter()
                    .map(|v| v + add)
                    .collect();
                card.tensor(&values, &[channels], DType::F32)
            };
            Self {
                gamma: tensor(11, 0.5, 1.0),
                beta: tensor(12, 0.5, 0.0),
                mean: tensor(13, 1.0, 0.5),
                var: tensor(14, 0.5, 2.0),
            }
        }

        fn affine(&self) -> Affine<'_> {
            Affine {
                gamma: &self.gamma,
                beta: &self.beta,
                running_mean: &self.mean,
                running_var: &self.var,
                eps: EPS,
            }
        }

        fn cpu(
            &self,
            card: &Host,
            x: &Tensor,
            moments: &Moments,
            batch_statistics: bool,
            residual: Option<&Tensor>,
            activation: Activation,
        ) -> (Tensor, cpu::Saved) {
            let norm = Norm {
                gamma: &card.wide(&self.gamma),
                beta: &card.wide(&self.beta),
                moments,
                eps: EPS,
                batch_statistics,
            };
            let residual = residual.map(|r| card.wide(r));
            cpu::forward(&card.wide(x), &norm, residual.as_ref(), activation).unwrap()
        }

        fn running(&self, card: &Host) -> Moments {
            let read = |t: &Tensor| card.wide(t).to_vec1::<f64>().unwrap();
            Moments {
                mean: read(&self.mean),
                variance: read(&self.var),
                count: 0,
            }
        }
    }

    /// Numbers whose mean is not 0.
    fn input(card: &Host, shape: &[usize], seed: u64, dtype: DType) -> Tensor {
        let values: Vec<f32> = numbers(shape, seed, 2.0).iter().map(|v| v + 1.5).collect();
        card.tensor(&values, shape, dtype)
    }

    fn bound(dtype: DType) -> f64 {
        match dtype {
            DType::BF16 => 6e-3,
            _ => 4e-6,
        }
    }

    fn compare(
        card: &Host,
        dtype: DType,
        found: &Gradients,
        expected: &Gradients,
        case: (usize, bool),
    ) {
        let (rows, batch_statistics) = case;
        let (dx, wanted) = (
            found.input.as_ref().unwrap(),
            expected.input.as_ref().unwrap(),
        );
        // The gradient through a single row's own statistics is nothing but rounding.
        if rows > 1 || !batch_statistics {
            within(dx, wanted, bound(dtype));
        } else {
            let largest = card.wide(dx).abs().unwrap().max_all().unwrap();
            assert!(largest.to_scalar::<f64>().unwrap() < 1e-3);
        }
        let (gamma, beta) = found.parameters.as_ref().unwrap();
        let (wanted_gamma, wanted_beta) = expected.parameters.as_ref().unwrap();
        assert_eq!((gamma.dtype(), beta.dtype()), (DType::F32, DType::F32));
        if rows > 1 || !batch_statistics {
            within(gamma, wanted_gamma, 4e-6);
        }
        within(beta, wanted_beta, 4e-6);
    }

    #[test]
    fn both_modes_and_their_gradients_are_those_of_the_cpu() {
        each_type(|card, dtype| {
            for (index, shape) in SHAPES.iter().enumerate() {
                let channels = shape[3];
                let rows = shape[0] * shape[1] * shape[2];
                let x = input(card, shape, 1, dtype);
                let dy = card.tensor(&numbers(shape, 2, 1.0), shape, dtype);
                let activation = [
                    Activation::Identity,
                    Activation::Relu,
                    Activation::Relu6,
                    Activation::Silu,
                ][index % 4];
                for batch_statistics in [true, false] {
                    let layer = Layer::new(card, channels);
                    let moments = match batch_statistics {
                        true => cpu::moments(&card.wide(&x)).unwrap(),
                        false => layer.running(card),
                    };
                    let (wanted, cpu_saved) =
                        layer.cpu(card, &x, &moments, batch_statistics, None, activation);
                    let (y, saved) = match batch_statistics {
                        true => train(card, &x, &layer.affine(), MOMENTUM, None, activation),
                        false => evaluate(card, &x, &layer.affine(), None, activation),
                    }
                    .unwrap();
                    within(&y, &wanted, bound(dtype));
                    for linear in [false, true] {
                        let found = backward(card, &dy, &x, &saved, linear, true, true).unwrap();
                        let expected = cpu::backward(
                            &card.wide(&dy),
                            &card.wide(&x),
                            &cpu_saved,
                            linear,
                            true,
                            true,
                        )
                        .unwrap();
                        compare(card, dtype, &found, &expected, (rows, batch_statistics));
                    }
                }
            }
        });
    }

    #[test]
    fn a_residual_is_added_before_the_activation() {
        each_type(|card, dtype| {
            for shape in [[2, 3, 5, 33], [3, 4, 5, 64]] {
                let (x, residual) = (
                    input(card, &shape, 3, dtype),
                    card.tensor(&numbers(&shape, 4, 2.0), &shape, dtype),
                );
                for activation in [Activation::Relu, Activation::Identity] {
                    let layer = Layer::new(card, shape[3]);
                    let running = layer.running(card);
                    let (wanted, _) =
                        layer.cpu(card, &x, &running, false, Some(&residual), activation);
                    let affine = layer.affine();
                    let (y, _) = evaluate(card, &x, &affine, Some(&residual), activation).unwrap();
                    within(&y, &wanted, bound(dtype));
                    let batch = cpu::moments(&card.wide(&x)).unwrap();
                    let (wanted, _) =
                        layer.cpu(card, &x, &batch, true, Some(&residual), activation);
                    let (y, _) =
                        train(card, &x, &affine, MOMENTUM, Some(&residual), activation).unwrap();
                    within(&y, &wanted, bound(dtype));
                }
                let other = input(card, &[2, 3, 5, 3], 3, dtype);
                let layer = Layer::new(card, shape[3]);
                let affine = layer.affine();
                assert!(evaluate(card, &x, &affine, Some(&other), Activation::Identity).is_err());
            }
        });
    }

    #[test]
    fn running_statistics_move_towards_each_batch() {
        each_type(|card, dtype| {
            for shape in [[2, 3, 5, 5], [1, 1, 1, 3], [4, 9, 9, 68]] {
                let layer = Layer::new(card, shape[3]);
                let mut expected = layer.running(card);
                for step in 0..4 {
                    let x = input(card, &shape, 20 + step, dtype);
                    let moments = cpu::moments(&card.wide(&x)).unwrap();
                    let n = moments.count as f64;
                    let unbias = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
                    for (running, batch) in expected.mean.iter_mut().zip(&moments.mean) {
                        *running += MOMENTUM * (batch - *running);
                    }
                    for (running, batch) in expected.variance.iter_mut().zip(&moments.variance) {
                        *running += MOMENTUM * (batch * unbias - *running);
                    }
                    train(
                        card,
                        &x,
                        &layer.affine(),
                        MOMENTUM,
                        None,
                        Activation::Identity,
                    )
                    .unwrap();
                }
                let wide = |values: Vec<f64>| Tensor::new(values, card.device()).unwrap();
                within(&layer.mean, &wide(expected.mean), 1e-6);
                within(&layer.var, &wide(expected.variance), 1e-6);
            }
        });
    }

    #[test]
    fn a_mean_far_from_zero_keeps_its_variance() {
        each_type(|card, dtype| {
            if dtype != DType::F32 {
                return;
            }
            let shape = [4, 16, 16, 8];
            let values: Vec<f32> = numbers(&shape, 5, 1.0).iter().map(|v| v + 1000.0).collect();
            let x = card.tensor(&values, &shape, dtype);
            let layer = Layer::new(card, 8);
            let batch = cpu::moments(&card.wide(&x)).unwrap();
            train(card, &x, &layer.affine(), 1.0, None, Activation::Identity).unwrap();
            let n = batch.count as f64;
            let variance: Vec<f64> = batch.variance.iter().map(|v| v * n / (n - 1.0)).collect();
            within(
                &layer.var,
                &Tensor::new(variance, card.device()).unwrap(),
                1e-5,
            );
        });
    }

    #[test]
    fn only_the_wanted_gradients_are_computed() {
        each_type(|card, dtype| {
            let x = input(card, &[2, 3, 4, 5], 6, dtype);
            let layer = Layer::new(card, 5);
            let affine = layer.affine();
            let (_, saved) = train(card, &x, &affine, 0.1, None, Activation::Relu).unwrap();
            let both = backward(card, &x, &x, &saved, false, true, true).unwrap();
            let input_only = backward(card, &x, &x, &saved, false, true, false).unwrap();
            assert!(input_only.parameters.is_none());
            close(
                &input_only.input.unwrap(),
                &card.wide(&both.input.unwrap()),
                dtype,
            );
            let parameters_only = backward(card, &x, &x, &saved, false, false, true).unwrap();
            assert!(parameters_only.input.is_none());
            close(
                &parameters_only.parameters.unwrap().0,
                &card.wide(&both.parameters.unwrap().0),
                dtype,
            );
        });
    }

    #[test]
    fn wrong_tensors_are_refused() {
        each_type(|card, dtype| {
            let (x, other) = (
                input(card, &[2, 3, 4, 5], 7, dtype),
                input(card, &[2, 3, 4, 6], 7, dtype),
            );
            let layer = Layer::new(card, 5);
            let affine = layer.affine();
            let (_, saved) = evaluate(card, &x, &affine, None, Activation::Relu).unwrap();
            assert!(train(card, &other, &affine, 0.1, None, Activation::Relu).is_err());
            assert!(backward(card, &other, &x, &saved, false, true, true).is_err());
            assert!(backward(card, &other, &other, &saved, false, true, true).is_err());
        });
    }
}
