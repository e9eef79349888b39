//! One image and the ball around its original: lengths, projections, random directions.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::Norm;
use crate::ops::Real;
use crate::simd;

/// The Euclidean length.
pub(crate) fn length<T: Real>(values: impl Iterator<Item = T>) -> f64 {
    values.map(|v| v.wide() * v.wide()).sum::<f64>().sqrt()
}

/// How far `x` is from `origin`, an image of planes of `plane` values, in the norm.
pub(crate) fn distance<T: Real>(norm: Norm, x: &[T], origin: &[T], plane: usize) -> f64 {
    let differences = || x.iter().zip(origin).map(|(&x, &o)| x - o);
    match norm {
        Norm::L2 => length(differences()),
        Norm::Linf => differences().fold(0.0, |max, d| max.max(d.wide().abs())),
        Norm::ChannelLinf(_) => differences().enumerate().fold(0.0, |max, (i, d)| {
            max.max(d.wide().abs() / norm.unit(i / plane))
        }),
    }
}

/// The nearest value within `epsilon` of `origin` and within [0, 1].
#[inline(always)]
pub(crate) fn into_linf<T: Real>(x: T, origin: T, epsilon: T) -> T {
    let (low, high) = (origin - epsilon, origin + epsilon);
    let low = if low > T::ZERO { low } else { T::ZERO };
    let high = if high < T::ONE { high } else { T::ONE };
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// The nearest value within [0, 1].
#[inline(always)]
pub(crate) fn into_pixels<T: Real>(x: T) -> T {
    if x < T::ZERO {
        T::ZERO
    } else if x > T::ONE {
        T::ONE
    } else {
        x
    }
}

/// Moves `x` back along the line to `origin` until it is within `epsilon`, then into the pixel range, which can only
/// bring it nearer.
pub(crate) fn into_l2<T: Real>(x: &mut [T], origin: &[T], epsilon: f64) {
    let length = length(x.iter().zip(origin).map(|(&x, &o)| x - o));
    let shrink = if length > epsilon {
        T::of(epsilon / length)
    } else {
        T::ONE
    };
    for (x, &o) in x.iter_mut().zip(origin) {
        *x = into_pixels(o + (*x - o) * shrink);
    }
}

#[inline(always)]
fn sign<T: Real>(value: T) -> T {
    if value > T::ZERO {
        T::ONE
    } else if value < T::ZERO {
        -T::ONE
    } else {
        T::ZERO
    }
}

simd! {
    /// One step of length `step` along the sign of the gradient, then into the ball and the pixel range.
    pub(crate) fn step_linf<T>(x: &[T], origin: &[T], gradient: &[T], step: T, epsilon: T, out: &mut [T]) {
        for (((y, &x), &o), &g) in out.iter_mut().zip(x).zip(origin).zip(gradient) {
            *y = into_linf(x + step * sign(g), o, epsilon);
        }
    }
}

/// One step of length `step` along the gradient's direction, then into the ball and the pixel range. A zero gradient
/// moves nothing.
pub(crate) fn step_l2<T: Real>(
    x: &[T],
    origin: &[T],
    gradient: &[T],
    step: f64,
    epsilon: f64,
    out: &mut [T],
) {
    let length = length(gradient.iter().copied());
    let scale = if length > 0.0 {
        T::of(step / length)
    } else {
        T::ZERO
    };
    for ((y, &x), &g) in out.iter_mut().zip(x).zip(gradient) {
        *y = x + scale * g;
    }
    into_l2(out, origin, epsilon);
}

simd! {
    /// `x + share (stepped - x) + (1 - share) (x - previous)`, into the ball and the pixel range; `stepped` is replaced.
    pub(crate) fn blend_linf<T>(x: &[T], previous: &[T], origin: &[T], share: T, epsilon: T, stepped: &mut [T]) {
        for (((y, &x), &p), &o) in stepped.iter_mut().zip(x).zip(previous).zip(origin) {
            *y = into_linf(x + share * (*y - x) + (T::ONE - share) * (x - p), o, epsilon);
        }
    }
}

/// As [`blend_linf`] in the l2 norm.
pub(crate) fn blend_l2<T: Real>(
    x: &[T],
    previous: &[T],
    origin: &[T],
    share: T,
    epsilon: f64,
    stepped: &mut [T],
) {
    for ((y, &x), &p) in stepped.iter_mut().zip(x).zip(previous) {
        *y = x + share * (*y - x) + (T::ONE - share) * (x - p);
    }
    into_l2(stepped, origin, epsilon);
}

/// A random direction of length 1 in the norm, as APGD and FAB start along it: uniform values brought to the largest
/// magnitude 1 (linf), or a uniform direction (l2).
pub(crate) fn direction(norm: Norm, rng: &mut ChaCha8Rng, len: usize) -> Vec<f64> {
    let mut values: Vec<f64> = match norm {
        Norm::L2 => (0..len).map(|_| rng.sample(StandardNormal)).collect(),
        Norm::Linf | Norm::ChannelLinf(_) => {
            (0..len).map(|_| 2.0 * rng.random::<f64>() - 1.0).collect()
        }
    };
    let size = match norm {
        Norm::L2 => length(values.iter().copied()),
        Norm::Linf | Norm::ChannelLinf(_) => {
            values.iter().fold(0.0, |max: f64, v| max.max(v.abs()))
        }
    };
    let scale = 1.0 / size.max(f64::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value *= scale);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn directions_have_length_one() {
        for norm in [Norm::Linf, Norm::L2] {
            let mut rng = stream(1, Purpose::AttackSearch, 0, 0, 0);
            let values = direction(norm, &mut rng, 12);
            let found = distance(norm, &values, &[0.0; 12], 4);
            assert!((found - 1.0).abs() < 1e-12, "{norm:?}: {found}");
            assert!(values.iter().any(|v| *v < 0.0) && values.iter().any(|v| *v > 0.0));
        }
    }

    #[test]
    fn channels_are_measured_in_their_units() {
        let x = [0.1, 0.2, 0.3, 0.0f64];
        let norm = Norm::ChannelLinf([0.1, 0.5, 1.0]);
        let found = distance(norm, &x, &[0.0; 4], 2);
        assert!((found - 2.0).abs() < 1e-12, "{found}");
    }
}
