//! Orders of images on the CPU.

use candle_core::Tensor;

use super::Normalize;
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

fn factors<T: Real>(normalize: Option<&Normalize>, channels: usize) -> Result<Vec<(T, T)>> {
    match normalize {
        None => Ok(vec![(T::ZERO, T::ONE); channels]),
        Some(normalize) => {
            normalize.check(channels)?;
            let pairs = normalize.mean.iter().zip(&normalize.std);
            Ok(pairs.map(|(&m, &s)| (T::of(m), T::of(s))).collect())
        }
    }
}

pub fn enter(images: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    to_channels_last(images, normalize)
}

pub fn leave(dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    to_channels_first(dy, normalize)
}

pub fn to_channels_last(x: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if c == 1 && normalize.is_none() {
        return Ok(x.reshape((n, h, w, c))?);
    }
    with_real!(x.dtype(), T => {
        let factors = factors::<T>(normalize, c)?;
        let images = &*view::<T>(x)?;
        let mut y = scratch::<T>(images.len());
        let step = c * h * w;
        chunks_mut(&mut y, step, &|i, y| {
            let x = chunk(images, step, i);
                for ((channel, plane), &(mean, std)) in x.chunks_exact(h * w).enumerate().zip(&factors) {
                    for (y, &x) in y[channel..].iter_mut().step_by(c).zip(plane) {
                        *y = (x - mean) / std;
                    }
                }
            });
        tensor(y, (n, h, w, c))
    })
}

pub fn to_channels_first(dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    let (n, h, w, c) = dy.dims4()?;
    if c == 1 && normalize.is_none() {
        return Ok(dy.reshape((n, c, h, w))?);
    }
    with_real!(dy.dtype(), T => {
        let factors = factors::<T>(normalize, c)?;
        let dy = &*view::<T>(dy)?;
        let mut dx = scratch::<T>(dy.len());
        let step = c * h * w;
        chunks_mut(&mut dx, step, &|i, dx| {
            let dy = chunk(dy, step, i);
                for ((channel, plane), &(_, std)) in dx.chunks_exact_mut(h * w).enumerate().zip(&factors) {
                    for (dx, &dy) in plane.iter_mut().zip(dy[channel..].iter().step_by(c)) {
                        *dx = dy / std;
                    }
                }
            });
        tensor(dx, (n, c, h, w))
    })
}
