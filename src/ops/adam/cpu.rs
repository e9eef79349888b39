//! Adam on the CPU.

use super::{Factors, Update};
use crate::ops::Real;
use crate::ops::parallel::{GRAIN, chunk, chunks_mut3};
use crate::ops::real::{view, with_mut};
use crate::{Result, simd, with_real};

simd! {
    fn update<T>(p: &mut [T], m: &mut [T], v: &mut [T], g: &[T], f: Factors) {
        let (beta1, beta2, eps) = (T::of(f.beta1), T::of(f.beta2), T::of(f.eps));
        let (coupled, keep) = (T::of(f.coupled), T::of(f.keep));
        let (rate, correction) = (T::of(f.rate), T::of(f.correction));
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g + coupled * *p;
            *m = beta1 * *m + (T::ONE - beta1) * g;
            *v = beta2 * *v + (T::ONE - beta2) * g * g;
            *p = *p * keep - rate * *m / (Real::sqrt(*v) / correction + eps);
        }
    }
}

pub fn step(updates: &[Update<'_>], factors: Factors) -> Result<()> {
    for u in updates {
        with_real!(u.gradient.dtype(), T => {
            let g = &*view::<T>(u.gradient)?;
            with_mut::<T, _>(u.parameter, |p| {
                with_mut::<T, _>(u.mean, |m| {
                    with_mut::<T, _>(u.square, |v| {
                        chunks_mut3(p, m, v, GRAIN, &|i, p, m, v| update(p, m, v, chunk(g, GRAIN, i), factors));
                    })
                })
            })??
        })?;
    }
    Ok(())
}
