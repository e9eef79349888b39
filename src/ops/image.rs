//! Between images `(N, C, H, W)`, as files and attacks know them, and activations `(N, H, W, C)`.

use candle_core::Tensor;

use super::Real;
#[cfg(any(feature = "cuda", test))]
use super::cuda;
use super::parallel::{chunk, chunks_mut};
use super::place::on_card;
use super::real::{scratch, tensor, view};
use crate::{Error, Result, with_real};

/// Per-channel normalisation `(x - mean) / std`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

impl Normalize {
    pub(crate) fn check(&self, channels: usize) -> Result<()> {
        if self.mean.len() != channels || self.std.len() != channels {
            return Err(Error::failed(format!(
                "images have {channels} channels, data.normalize has {} means and {} standard deviations",
                self.mean.len(),
                self.std.len()
            )));
        }
        Ok(())
    }

    fn factors<T: Real>(normalize: Option<&Self>, channels: usize) -> Result<Vec<(T, T)>> {
        match normalize {
            None => Ok(vec![(T::ZERO, T::ONE); channels]),
            Some(normalize) => {
                normalize.check(channels)?;
                let pairs = normalize.mean.iter().zip(&normalize.std);
                Ok(pairs.map(|(&m, &s)| (T::of(m), T::of(s))).collect())
            }
        }
    }
}

/// Images as a network takes them: normalised, channels last and, on a card, in the type of the run's activations.
pub fn enter(images: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    on_card!(images, card => {
        let dtype = super::precision::current().activations();
        cuda::image::to_channels_last(card, images, normalize, dtype)
    });
    to_channels_last(images, normalize)
}

/// The gradient of [`enter`] with respect to the images.
pub fn leave(dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    on_card!(dy, card => cuda::image::to_channels_first(card, dy, normalize, candle_core::DType::F32));
    to_channels_first(dy, normalize)
}

/// Images `(N, C, H, W)` to normalised activations `(N, H, W, C)`.
pub fn to_channels_last(x: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    on_card!(x, card => cuda::image::to_channels_last(card, x, normalize, x.dtype()));
    let (n, c, h, w) = x.dims4()?;
    if c == 1 && normalize.is_none() {
        return Ok(x.reshape((n, h, w, c))?);
    }
    with_real!(x.dtype(), T => {
        let factors = Normalize::factors::<T>(normalize, c)?;
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

/// The gradient of [`to_channels_last`]: `(N, H, W, C)` to `(N, C, H, W)`, divided by std.
pub fn to_channels_first(dy: &Tensor, normalize: Option<&Normalize>) -> Result<Tensor> {
    on_card!(dy, card => cuda::image::to_channels_first(card, dy, normalize, dy.dtype()));
    let (n, h, w, c) = dy.dims4()?;
    if c == 1 && normalize.is_none() {
        return Ok(dy.reshape((n, c, h, w))?);
    }
    with_real!(dy.dtype(), T => {
        let factors = Normalize::factors::<T>(normalize, c)?;
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
