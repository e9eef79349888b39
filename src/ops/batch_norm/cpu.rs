//! Batch normalisation on the CPU.

use candle_core::Tensor;

use super::rows::*;
use super::{Affine, Gradients};
use crate::ops::Real;
use crate::ops::activation::Activation;
use crate::ops::activation::cpu::with_activation;
use crate::ops::parallel::{chunk, chunks_mut, rows_per_task};
use crate::ops::real::{scratch, tensor, view, with_mut};
use crate::{Error, Result, with_real};

/// Mean and biased variance of each channel.
#[derive(Clone, Debug)]
pub struct Moments {
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
    /// Elements that each is taken over: N*H*W; 0 where they are running ones, through which no gradients pass.
    pub count: usize,
}

/// What the backward pass needs besides `x` (and `y` where there was a residual).
#[derive(Clone, Debug)]
pub struct Saved {
    /// `gamma / sqrt(var + eps)` and `beta - mean * scale`: the forward pass as one multiplication and addition.
    scale: Vec<f64>,
    shift: Vec<f64>,
    mean: Vec<f64>,
    inverse_std: Vec<f64>,
    count: usize,
    activation: Activation,
    /// Whether mean and variance depend on x (training mode).
    batch_statistics: bool,
}

/// Mean and biased variance of each channel of `x`, whose last dimension is the channels.
pub fn moments(x: &Tensor) -> Result<Moments> {
    let channels = x.dim(candle_core::D::Minus1)?;
    with_real!(x.dtype(), T => Ok(moments_of(&view::<T>(x)?, channels)))
}

fn moments_of<T: Real>(x: &[T], channels: usize) -> Moments {
    let count = x.len() / channels;
    // The first pixel as the origin keeps the squares small where a channel's mean is far from zero.
    let origin: Vec<f64> = x[..channels].iter().map(|v| v.wide()).collect();
    let tile = tiled::<T>(&origin);
    let width = tile.len();
    let sums = column_sums::<T>(x.len(), width, &|range, buffers| {
        let (sums, squares) = buffers.split_at_mut(width);
        moment_sums(&x[range], &tile, sums, squares);
    });
    let (sums, squares) = (
        fold(&sums[..width], channels),
        fold(&sums[width..], channels),
    );
    let n = count as f64;
    let mean = (0..channels).map(|c| origin[c] + sums[c] / n).collect();
    let variance = (0..channels)
        .map(|c| (squares[c] / n - (sums[c] / n) * (sums[c] / n)).max(0.0))
        .collect();
    Moments {
        mean,
        variance,
        count,
    }
}

pub fn train(
    x: &Tensor,
    affine: &Affine<'_>,
    momentum: f64,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, super::Saved)> {
    let moments = moments(x)?;
    move_running(affine, &moments, momentum)?;
    forward(x, affine, &moments, residual, activation)
}

pub fn evaluate(
    x: &Tensor,
    affine: &Affine<'_>,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, super::Saved)> {
    forward(x, affine, &running(affine)?, residual, activation)
}

fn read(values: &Tensor) -> Result<Vec<f64>> {
    with_real!(values.dtype(), T => Ok(view::<T>(values)?.iter().map(|&v| v.wide()).collect()))
}

fn running(affine: &Affine<'_>) -> Result<Moments> {
    Ok(Moments {
        mean: read(affine.running_mean)?,
        variance: read(affine.running_var)?,
        count: 0,
    })
}

/// The forward pass as one multiplication and addition.
struct Line {
    inverse_std: Vec<f64>,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Line {
    fn new(affine: &Affine<'_>, moments: &Moments) -> Result<Self> {
        let (gamma, beta) = (read(affine.gamma)?, read(affine.beta)?);
        let variance = moments.variance.iter();
        let inverse_std: Vec<f64> = variance.map(|v| 1.0 / (v + affine.eps).sqrt()).collect();
        let scale: Vec<f64> = inverse_std.iter().zip(&gamma).map(|(s, g)| s * g).collect();
        let pairs = scale.iter().zip(&beta).zip(&moments.mean);
        let shift = pairs.map(|((s, b), m)| b - m * s).collect();
        Ok(Self {
            inverse_std,
            scale,
            shift,
        })
    }
}

/// Factor and summand per channel of the forward pass in evaluation.
pub(in crate::ops) fn running_line(affine: &Affine<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
    let Line { scale, shift, .. } = Line::new(affine, &running(affine)?)?;
    Ok((scale, shift))
}

/// `running += momentum (batch - running)`, with the unbiased variance, as torch does.
fn move_running(affine: &Affine<'_>, moments: &Moments, momentum: f64) -> Result<()> {
    let n = moments.count as f64;
    // One element has no unbiased variance; torch refuses such a batch, a spec's last batch may hold one image.
    let unbias = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
    for (running, batch, factor) in [
        (affine.running_mean, &moments.mean, 1.0),
        (affine.running_var, &moments.variance, unbias),
    ] {
        with_real!(running.dtype(), T => {
            with_mut::<T, _>(running, |running| {
                for (running, batch) in running.iter_mut().zip(batch) {
                    let old = running.wide();
                    *running = T::of(old + momentum * (batch * factor - old));
                }
            })
        })?;
    }
    Ok(())
}

/// The forward pass with given moments.
pub fn forward(
    x: &Tensor,
    affine: &Affine<'_>,
    moments: &Moments,
    residual: Option<&Tensor>,
    activation: Activation,
) -> Result<(Tensor, super::Saved)> {
    with_real!(x.dtype(), T => {
        let Line { inverse_std, scale, shift } = Line::new(affine, moments)?;
        let (a, b) = (tiled::<T>(&scale), tiled::<T>(&shift));
        let input = &*view::<T>(x)?;
        let mut y = scratch(input.len());
        let step = rows_per_task(a.len()) * a.len();
        match residual {
            None => {
                let kernel: Normalise<T> = with_activation!(activation, A => normalise::<T, A>);
                chunks_mut(&mut y, step, &|i, y| kernel(chunk(input, step, i), &a, &b, y));
            }
            Some(residual) => {
                let residual = &*view::<T>(residual)?;
                let kernel: NormaliseAdd<T> = with_activation!(activation, A => normalise_add::<T, A>);
                chunks_mut(&mut y, step, &|i, y| {
                    kernel(chunk(input, step, i), chunk(residual, step, i), &a, &b, y);
                });
            }
        }
        let saved = super::Saved::Cpu(Saved {
            scale,
            shift,
            mean: moments.mean.clone(),
            inverse_std,
            count: moments.count,
            activation,
            batch_statistics: moments.count > 0,
        });
        Ok((tensor(y, x.shape())?, saved))
    })
}

pub fn backward(
    dy: &Tensor,
    x: &Tensor,
    saved: &super::Saved,
    linear: bool,
    want_input: bool,
    want_parameters: bool,
) -> Result<Gradients> {
    let super::Saved::Cpu(saved) = saved else {
        return Err(Error::failed("a pass on a card ended on the CPU"));
    };
    let activation = if linear {
        Activation::Identity
    } else {
        saved.activation
    };
    with_real!(dy.dtype(), T => {
        let (gradient, input) = (&*view::<T>(dy)?, &*view::<T>(x)?);
        let channels = saved.scale.len();
        let (a, b) = (tiled::<T>(&saved.scale), tiled::<T>(&saved.shift));
        let width = a.len();
        let step = rows_per_task(width) * width;
        let mut sums = None;
        if want_parameters || saved.batch_statistics {
            let mean = tiled::<T>(&saved.mean);
            let kernel: GradientSums<T> = with_activation!(activation, A => gradient_sums::<T, A>);
            let totals = column_sums::<T>(input.len(), width, &|range, buffers| {
                let (sums, products) = buffers.split_at_mut(width);
                kernel(&gradient[range.clone()], &input[range], &a, &b, &mean, sums, products);
            });
            sums = Some((fold(&totals[..width], channels), fold(&totals[width..], channels)));
        }
        let mut dx = None;
        if want_input {
            let mut out = scratch::<T>(input.len());
            match &sums {
                Some((sum, product)) if saved.batch_statistics => {
                    let n = saved.count as f64;
                    let from_x: Vec<f64> = (0..channels)
                        .map(|c| -saved.scale[c] * saved.inverse_std[c].powi(2) * product[c] / n)
                        .collect();
                    let constant: Vec<f64> = (0..channels)
                        .map(|c| -saved.scale[c] * sum[c] / n - from_x[c] * saved.mean[c])
                        .collect();
                    let (q, c) = (tiled::<T>(&from_x), tiled::<T>(&constant));
                    let kernel: InputGradient<T> = with_activation!(activation, A => input_gradient::<T, A>);
                    chunks_mut(&mut out, step, &|i, dx| {
                        kernel(chunk(gradient, step, i), chunk(input, step, i), &a, &b, &a, &q, &c, dx);
                    });
                }
                _ => {
                    let kernel: ScaledGradient<T> = with_activation!(activation, A => scaled_gradient::<T, A>);
                    chunks_mut(&mut out, step, &|i, dx| {
                        kernel(chunk(gradient, step, i), chunk(input, step, i), &a, &b, dx);
                    });
                }
            }
            dx = Some(tensor(out, x.shape())?);
        }
        let parameters = match sums {
            Some((sum, product)) if want_parameters => {
                let gamma: Vec<T> = product.iter().zip(&saved.inverse_std).map(|(p, s)| T::of(p * s)).collect();
                let beta: Vec<T> = sum.iter().map(|&s| T::of(s)).collect();
                Some((tensor(gamma, channels)?, tensor(beta, channels)?))
            }
            _ => None,
        };
        Ok(Gradients { input: dx, parameters })
    })
}
