//! Stochastic gradient descent on the CPU.

use super::{Factors, Update};
use crate::ops::parallel::{GRAIN, chunk, chunks_mut, chunks_mut2};
use crate::ops::real::{view, with_mut};
use crate::{Result, simd, with_real};

simd! {
    fn plain<T>(p: &mut [T], g: &[T], lr: T, decay: T) {
        for (p, &g) in p.iter_mut().zip(g) {
            *p -= lr * (g + decay * *p);
        }
    }
}

simd! {
    fn with_momentum<T>(p: &mut [T], v: &mut [T], g: &[T], lr: T, decay: T, momentum: T, nesterov: bool) {
        for ((p, v), &g) in p.iter_mut().zip(v).zip(g) {
            let g = g + decay * *p;
            *v = momentum * *v + g;
            *p -= lr * if nesterov { g + momentum * *v } else { *v };
        }
    }
}

pub fn step(updates: &[Update<'_>], factors: Factors) -> Result<()> {
    let nesterov = factors.nesterov;
    for update in updates {
        with_real!(update.gradient.dtype(), T => {
            let (lr, decay, mu) = (factors.rate as T, factors.decay as T, factors.momentum as T);
            let g = &*view::<T>(update.gradient)?;
            with_mut::<T, _>(update.parameter, |p| match update.velocity {
                None => {
                    chunks_mut(p, GRAIN, &|i, p| plain(p, chunk(g, GRAIN, i), lr, decay));
                    Ok(())
                }
                Some(velocity) => with_mut::<T, _>(velocity, |v| {
                    chunks_mut2(p, v, (GRAIN, GRAIN), &|i, p, v| {
                        with_momentum(p, v, chunk(g, GRAIN, i), lr, decay, mu, nesterov);
                    });
                }),
            })?
        })?;
    }
    Ok(())
}
