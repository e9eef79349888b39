//! Perturbations on the CPU.

use candle_core::Tensor;

use super::ball::{blend_l2, blend_linf, distance, step_l2, step_linf};
use super::{Blend, Checks, Norm, Threat, image_len, plane_len};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut, map};
use crate::ops::real::{scratch, tensor, view, with_mut};
use crate::{Error, Result, simd, with_real};

pub fn step(
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    threat: Threat,
    step_size: f64,
) -> Result<Tensor> {
    let Threat { norm, epsilon } = threat;
    with_real!(originals.dtype(), T => {
        let (x, o, g) = (&*view::<T>(images)?, &*view::<T>(originals)?, &*view::<T>(gradient)?);
        let (image, plane) = (image_len(originals)?, plane_len(originals)?);
        let mut out = scratch::<T>(o.len());
        chunks_mut(&mut out, image, &|i, out| {
            let (x, o, g) = (chunk(x, image, i), chunk(o, image, i), chunk(g, image, i));
            match norm {
                Norm::Linf => step_linf(x, o, g, T::of(step_size), T::of(epsilon), out),
                Norm::L2 => step_l2(x, o, g, step_size, epsilon, out),
                Norm::ChannelLinf(_) => {
                    for (c, out) in out.chunks_mut(plane).enumerate() {
                        let unit = norm.unit(c);
                        let (step, epsilon) = (T::of(step_size * unit), T::of(epsilon * unit));
                        let (x, o, g) = (chunk(x, plane, c), chunk(o, plane, c), chunk(g, plane, c));
                        step_linf(x, o, g, step, epsilon, out);
                    }
                }
            }
        });
        tensor(out, originals.shape())
    })
}

pub fn momentum_step(
    images: &Tensor,
    originals: &Tensor,
    gradient: &Tensor,
    blend: Blend<'_>,
    threat: Threat,
    step_sizes: &[f64],
) -> Result<Tensor> {
    let Threat { norm, epsilon } = threat;
    let image = image_len(images)?;
    with_real!(images.dtype(), T => {
        let (x, p) = (&*view::<T>(images)?, &*view::<T>(blend.previous)?);
        let (o, g) = (&*view::<T>(originals)?, &*view::<T>(gradient)?);
        let mut out = scratch::<T>(x.len());
        chunks_mut(&mut out, image, &|i, out| {
            let (x, p) = (chunk(x, image, i), chunk(p, image, i));
            let (o, g) = (chunk(o, image, i), chunk(g, image, i));
            let (step, share) = (step_sizes[i], T::of(blend.share));
            match norm {
                Norm::L2 => {
                    step_l2(x, o, g, step, epsilon, out);
                    blend_l2(x, p, o, share, epsilon, out);
                }
                Norm::Linf | Norm::ChannelLinf(_) => {
                    let epsilon = T::of(epsilon);
                    step_linf(x, o, g, T::of(step), epsilon, out);
                    blend_linf(x, p, o, share, epsilon, out);
                }
            }
        });
        tensor(out, images.shape())
    })
}

pub fn distances(images: &Tensor, originals: &Tensor, norm: Norm) -> Result<Vec<f64>> {
    let (image, plane) = (image_len(originals)?, plane_len(originals)?);
    with_real!(originals.dtype(), T => {
        let (x, o) = (&*view::<T>(images)?, &*view::<T>(originals)?);
        Ok(map(x.len() / image, &|i| {
            distance(norm, chunk(x, image, i), chunk(o, image, i), plane)
        }))
    })
}

pub fn draw_nearer(
    images: &Tensor,
    originals: &Tensor,
    positions: &[usize],
    share: f64,
) -> Result<()> {
    let image = image_len(originals)?;
    with_real!(originals.dtype(), T => {
        let (originals, share) = (&*view::<T>(originals)?, T::of(share));
        with_mut::<T, _>(images, |images| {
            for &position in positions {
                let image = position * image..(position + 1) * image;
                for (x, &o) in images[image.clone()].iter_mut().zip(&originals[image]) {
                    *x = o + (*x - o) * share;
                }
            }
        })
    })
}

simd! {
    fn accumulate<T>(gradient: &[T], decay: T, scale: T, momentum: &mut [T]) {
        for (m, &g) in momentum.iter_mut().zip(gradient) {
            *m = decay * *m + scale * g;
        }
    }
}

pub fn add_normalised(momentum: &Tensor, gradient: &Tensor, decay: f64) -> Result<()> {
    let image = image_len(gradient)?;
    with_real!(gradient.dtype(), T => {
        let gradient = &*view::<T>(gradient)?;
        with_mut::<T, _>(momentum, |momentum| {
            chunks_mut(momentum, image, &|i, momentum| {
                let gradient = chunk(gradient, image, i);
                let length: f64 = gradient.iter().map(|g| g.wide().abs()).sum();
                let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
                accumulate(gradient, T::of(decay), T::of(scale), momentum);
            });
        })
    })
}

pub fn check(images: &Tensor, originals: &Tensor, threat: Threat, attack: &str) -> Result<Checks> {
    with_real!(images.dtype(), T => {
        let x = view::<T>(images)?;
        match x.iter().find(|v| !(T::ZERO..=T::ONE).contains(*v)) {
            Some(pixel) => Err(Error::failed(format!(
                "{attack}: a perturbed pixel is {pixel}, outside [0, 1]"
            ))),
            None => Ok(()),
        }
    })?;
    let found = distances(images, originals, threat.norm)?;
    for (i, found) in found.into_iter().enumerate() {
        if found > threat.epsilon + threat.slack() {
            return Err(Error::failed(format!(
                "{attack}: image {i} of a batch is {found} from its original in {:?}, outside the ball of {}",
                threat.norm, threat.epsilon
            )));
        }
    }
    Ok(Checks::default())
}
