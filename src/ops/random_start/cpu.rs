//! Random starts on the CPU.

use candle_core::Tensor;
use rand::Rng;

use super::Draws;
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::ball::{direction, into_l2, into_linf};
use crate::ops::perturbation::{Norm, Threat, image_len, plane_len};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

pub fn uniform(
    originals: &Tensor,
    indices: &[usize],
    threat: Threat,
    draws: Draws,
) -> Result<Tensor> {
    let Threat {
        norm,
        epsilon: radius,
    } = threat;
    let (image, plane) = (image_len(originals)?, plane_len(originals)?);
    with_real!(originals.dtype(), T => {
        let o = &*view::<T>(originals)?;
        let mut out = scratch::<T>(o.len());
        chunks_mut(&mut out, image, &|i, out| {
            let o = chunk(o, image, i);
            let mut rng = draws.rng(indices[i]);
            match norm {
                Norm::Linf | Norm::ChannelLinf(_) => {
                    for (k, (y, &o)) in out.iter_mut().zip(o).enumerate() {
                        let share = 2.0 * f64::from(rng.random::<f32>()) - 1.0;
                        let epsilon = radius * norm.unit(k / plane);
                        *y = into_linf(o + T::of(epsilon * share), o, T::of(epsilon));
                    }
                }
                Norm::L2 => {
                    // The density of the radius grows with the surface of its sphere.
                    let direction = direction(norm, &mut rng, o.len());
                    let length = rng.random::<f64>().powf(1.0 / o.len() as f64) * radius;
                    for ((y, &o), &d) in out.iter_mut().zip(o).zip(&direction) {
                        *y = o + T::of(d * length);
                    }
                    into_l2(out, o, radius);
                }
            }
        });
        tensor(out, originals.shape())
    })
}
