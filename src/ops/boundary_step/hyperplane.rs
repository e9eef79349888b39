//! The nearest point of a hyperplane within the pixel range: the step that FAB is made of.

use crate::ops::Real;
use crate::ops::perturbation::Norm;

/// More rounds than any input needs: each passes at least one pixel's bound.
pub(super) const ROUNDS: usize = 10_000;

/// The shortest change `d`, in the norm, that brings `x` to the hyperplane `w (x + d) = w x - c` with `x + d` in [0, 1];
/// where the hyperplane is out of reach, the change that comes nearest to it. Writes it to `d` and returns its length.
///
/// Along the way every pixel moves as far as its neighbours do (linf) or as its weight says (l2), until the range
/// stops it: `|d_i| = min(t s_i, room_i)` with `s_i` 1 or `|w_i|`. What is gained, `sum |w_i| |d_i|`, is concave and
/// piecewise linear in `t`, so that Newton's method from below ends at the exact `t`.
pub(super) fn project<T: Real>(norm: Norm, x: &[T], w: &[T], c: f64, d: &mut [T]) -> f64 {
    let down = c > 0.0;
    let (need, l2) = (c.abs(), matches!(norm, Norm::L2));
    // Where x can go in the direction that reduces |c|.
    let room = |x: T, w: T| {
        let x = x.wide();
        match (w.wide() > 0.0) == down {
            true => x,
            false => 1.0 - x,
        }
    };
    let (mut t, mut last) = (0.0, -1.0);
    let mut reachable = true;
    for _ in 0..ROUNDS {
        let (mut gained, mut slope) = (0.0, 0.0);
        for (&x, &w) in x.iter().zip(w) {
            let size = w.wide().abs();
            let rate = if l2 { size } else { 1.0 };
            let room = room(x, w);
            if t * rate >= room {
                gained += size * room;
            } else {
                gained += size * rate * t;
                slope += size * rate;
            }
        }
        if gained >= need || t <= last {
            break;
        }
        if slope <= 0.0 {
            reachable = false;
            break;
        }
        last = t;
        t += (need - gained) / slope;
    }
    let mut sum = 0.0f64;
    let mut max = 0.0f64;
    for ((d, &x), &w) in d.iter_mut().zip(x).zip(w) {
        let size = w.wide().abs();
        if size == 0.0 {
            *d = T::ZERO;
            continue;
        }
        let room = room(x, w);
        let far = if reachable {
            room.min(t * if l2 { size } else { 1.0 })
        } else {
            room
        };
        let up = (w.wide() > 0.0) != down;
        *d = T::of(if up { far } else { -far });
        sum += far * far;
        max = max.max(far);
    }
    if l2 { sum.sqrt() } else { max }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by bisection over `t`.
    fn oracle(norm: Norm, x: &[f64], w: &[f64], c: f64) -> Vec<f64> {
        let at = |t: f64| -> Vec<f64> {
            let pairs = x.iter().zip(w);
            pairs
                .map(|(&x, &w)| {
                    let rate = if norm == Norm::L2 { w.abs() } else { 1.0 };
                    let moved = x - c.signum() * w.signum() * t * rate;
                    if w == 0.0 {
                        0.0
                    } else {
                        moved.clamp(0.0, 1.0) - x
                    }
                })
                .collect()
        };
        let gained = |d: &[f64]| -> f64 { d.iter().zip(w).map(|(d, w)| (d * w).abs()).sum() };
        let (mut low, mut high) = (0.0, 1e9);
        if gained(&at(high)) < c.abs() {
            return at(high);
        }
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if gained(&at(middle)) < c.abs() {
                low = middle;
            } else {
                high = middle;
            }
        }
        at(high)
    }

    proptest! {
        #[test]
        fn projections_are_exact(
            x in proptest::collection::vec(0.0f64..=1.0, 6),
            w in proptest::collection::vec(prop_oneof![Just(0.0), -2.0f64..2.0], 6),
            c in prop_oneof![-6.0f64..6.0, Just(0.0)],
            l2: bool,
        ) {
            let norm = if l2 { Norm::L2 } else { Norm::Linf };
            let mut d = [0.0; 6];
            let length = project(norm, &x, &w, c, &mut d);
            for (d, expected) in d.iter().zip(oracle(norm, &x, &w, c)) {
                prop_assert!((d - expected).abs() < 1e-6, "{d} {expected}");
            }
            let found = match l2 {
                true => d.iter().map(|d| d * d).sum::<f64>().sqrt(),
                false => d.iter().fold(0.0, |max: f64, d| max.max(d.abs())),
            };
            prop_assert!((found - length).abs() < 1e-9);
        }
    }
}
