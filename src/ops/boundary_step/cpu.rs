//! Steps to a boundary on the CPU.

use candle_core::Tensor;

use super::hyperplane::project;
use super::{ALPHA_MAX, ETA};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::ball::into_pixels;
use crate::ops::perturbation::{Norm, image_len};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

pub fn next(
    images: &Tensor,
    originals: &Tensor,
    gradients: &Tensor,
    margins: &[f64],
    norm: Norm,
) -> Result<Tensor> {
    let image = image_len(images)?;
    with_real!(images.dtype(), T => {
        let (x, o, w) = (&*view::<T>(images)?, &*view::<T>(originals)?, &*view::<T>(gradients)?);
        let mut next = scratch::<T>(x.len());
        chunks_mut(&mut next, image, &|i, out| {
            let (x, o, w) = (chunk(x, image, i), chunk(o, image, i), chunk(w, image, i));
            step(x, o, w, margins[i], norm, out);
        });
        tensor(next, images.shape())
    })
}

/// The step of one image.
fn step<T: Real>(x: &[T], o: &[T], w: &[T], margin: f64, norm: Norm, out: &mut [T]) {
    let ahead: f64 = w
        .iter()
        .zip(o.iter().zip(x))
        .map(|(w, (o, x))| w.wide() * (o.wide() - x.wide()))
        .sum();
    let mut from_here = scratch::<T>(x.len());
    let mut from_origin = scratch::<T>(x.len());
    let here = project(norm, x, w, margin, &mut from_here).max(1e-8);
    let there = project(norm, o, w, margin + ahead, &mut from_origin).max(1e-8);
    let alpha = T::of((here / (here + there)).min(ALPHA_MAX));
    let eta = T::of(ETA);
    for (k, y) in out.iter_mut().enumerate() {
        let a = x[k] + eta * from_here[k];
        let b = o[k] + eta * from_origin[k];
        *y = into_pixels((T::ONE - alpha) * a + alpha * b);
    }
}
