//! Adversarial images as files of 8 bits hold them, without leaving the ball.

use candle_core::Tensor;

use super::{Norm, Threat};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::{image_len, plane_len};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, with_real};

/// The largest of the 256 levels, which are `0 / LEVELS` to `LEVELS / LEVELS`.
const LEVELS: f64 = 255.0;

/// The images rounded to the 256 levels of an 8-bit file, inside the ball around their originals.
///
/// Every pixel takes the nearest level, except where that leaves the ball:
///
/// - linf: a pixel whose nearest level is too far from its original takes the nearest one that is not;
/// - l2: of the pixels that rounding moved away from their originals, those nearest to the middle between two levels take the
///   other level, one by one until the image is inside.
///
/// Images that were inside stay inside (as [`Threat::check`] measures it) where the originals are levels themselves, as those
/// of 8-bit files are. Otherwise a pixel without a level inside the linf ball takes the level nearest to its original, at most
/// 1/510 away, and an image may lie outside the l2 ball by as much as rounding its original moves it.
pub fn to_8bit(images: &Tensor, originals: &Tensor, threat: Threat) -> Result<Tensor> {
    with_real!(originals.dtype(), T => {
        let (x, o) = (&*view::<T>(images)?, &*view::<T>(originals)?);
        let (image, plane) = (image_len(originals)?, plane_len(originals)?);
        let mut out = scratch::<T>(x.len());
        chunks_mut(&mut out, image, &|i, out| {
            let (x, o) = (chunk(x, image, i), chunk(o, image, i));
            let levels = match threat.norm {
                Norm::L2 => levels_in_l2(x, o, threat),
                Norm::Linf | Norm::ChannelLinf(_) => levels_in_linf(x, o, plane, threat),
            };
            for (out, level) in out.iter_mut().zip(levels) {
                *out = T::of(level / LEVELS);
            }
        });
        tensor(out, originals.shape())
    })
}

/// What the ball's radius is taken for: half the slack of the check is left to the roundings of the check itself.
fn radius(threat: Threat) -> f64 {
    threat.epsilon + threat.slack() / 2.0
}

fn levels_in_linf<T: Real>(x: &[T], origin: &[T], plane: usize, threat: Threat) -> Vec<f64> {
    let pixels = x.iter().zip(origin).enumerate();
    pixels
        .map(|(i, (x, o))| {
            let (x, o) = (x.wide() * LEVELS, o.wide() * LEVELS);
            let reach = radius(threat) * threat.norm.unit(i / plane) * LEVELS;
            let (low, high) = ((o - reach).ceil(), (o + reach).floor());
            if low > high {
                return o.round().clamp(0.0, LEVELS);
            }
            x.round().clamp(low, high).clamp(0.0, LEVELS)
        })
        .collect()
}

fn levels_in_l2<T: Real>(x: &[T], origin: &[T], threat: Threat) -> Vec<f64> {
    let wide = |values: &[T]| -> Vec<f64> { values.iter().map(|v| v.wide() * LEVELS).collect() };
    let (x, origin) = (wide(x), wide(origin));
    let mut levels: Vec<f64> = x.iter().map(|x| x.round().clamp(0.0, LEVELS)).collect();
    let square = |level: f64, origin: f64| (level - origin) * (level - origin);
    let mut excess: f64 = levels
        .iter()
        .zip(&origin)
        .map(|(&level, &origin)| square(level, origin))
        .sum();
    excess -= (radius(threat) * LEVELS).powi(2);
    if excess <= 0.0 {
        return levels;
    }
    // The other level of each pixel that was rounded away from its original, and how much farther it is from the pixel.
    let mut others: Vec<(f64, usize, f64)> = Vec::new();
    for (i, (&x, &level)) in x.iter().zip(&levels).enumerate() {
        let other = if level > x { level - 1.0 } else { level + 1.0 };
        if level != x && square(other, origin[i]) < square(level, origin[i]) {
            others.push(((other - x).abs() - (level - x).abs(), i, other));
        }
    }
    others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (_, i, other) in others {
        excess -= square(levels[i], origin[i]) - square(other, origin[i]);
        levels[i] = other;
        if excess <= 0.0 {
            break;
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::ball::distance;
    use proptest::prelude::*;

    const IMAGE: usize = 12;

    fn images(values: &[f64]) -> Tensor {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        tensor(values, (2, 3, 2, 2)).unwrap()
    }

    fn values(images: &Tensor) -> Vec<f32> {
        images.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn norms() -> impl Strategy<Value = Norm> {
        prop_oneof![
            Just(Norm::Linf),
            Just(Norm::L2),
            Just(Norm::ChannelLinf([0.2, 0.25, 0.3])),
        ]
    }

    proptest! {
        #[test]
        fn rounded_images_stay_inside_the_ball(
            norm in norms(),
            epsilon in prop_oneof![1e-3f64..0.6, (1u8..40).prop_map(|level| f64::from(level) / 255.0)],
            levels in proptest::collection::vec(0u8..=255, 2 * IMAGE),
            steps in proptest::collection::vec(-1f64..=1.0, 2 * IMAGE),
            edge: bool,
        ) {
            let threat = Threat { norm, epsilon };
            let origin: Vec<f64> = levels.iter().map(|&level| f64::from(level) / 255.0).collect();
            let moved: Vec<f64> = origin.chunks(IMAGE).zip(steps.chunks(IMAGE)).flat_map(|(origin, steps)| {
                // At the edge of the ball, where attacks end, or anywhere in it.
                let length = distance(norm, steps, &[0.0; IMAGE], IMAGE / 3).max(1e-9);
                let scale = if edge { epsilon / length } else { epsilon.min(epsilon / length) };
                let pairs = origin.iter().zip(steps);
                pairs.map(|(o, s)| (o + scale * s).clamp(0.0, 1.0)).collect::<Vec<_>>()
            }).collect();
            let (origin, moved) = (images(&origin), images(&moved));
            threat.check("the test", &moved, &origin).unwrap().resolve().unwrap();
            let rounded = to_8bit(&moved, &origin, threat).unwrap();
            threat.check("rounding", &rounded, &origin).unwrap().resolve().unwrap();
            for (rounded, moved) in values(&rounded).chunks(IMAGE).zip(values(&moved).chunks(IMAGE)) {
                for (rounded, moved) in rounded.iter().zip(moved) {
                    prop_assert_eq!(*rounded, (rounded * 255.0).round() / 255.0);
                    prop_assert!((rounded - moved).abs() < 1.0 / 255.0 + 1e-6);
                }
            }
            // Rounding what is rounded changes nothing.
            let again = to_8bit(&rounded, &origin, threat).unwrap();
            prop_assert_eq!(values(&again), values(&rounded));
        }

        #[test]
        fn any_original_is_left_by_no_more_than_its_own_rounding(
            origin in proptest::collection::vec(0f64..=1.0, 2 * IMAGE),
            steps in proptest::collection::vec(-1f64..=1.0, 2 * IMAGE),
            epsilon in 1e-4f64..0.1,
        ) {
            let threat = Threat::linf(epsilon);
            let moved: Vec<f64> = origin.iter().zip(&steps).map(|(o, s)| (o + epsilon * s).clamp(0.0, 1.0)).collect();
            let origin = images(&origin);
            let rounded = to_8bit(&images(&moved), &origin, threat).unwrap();
            for (rounded, origin) in values(&rounded).iter().zip(values(&origin)) {
                prop_assert!((0.0..=1.0).contains(rounded));
                prop_assert!(f64::from((rounded - origin).abs()) <= epsilon.max(1.0 / 510.0) + 2e-6);
            }
        }
    }

    #[test]
    fn the_nearest_level_is_taken_where_it_is_inside() {
        let origin = images(&[100.0 / 255.0; 2 * IMAGE]);
        let moved = images(&[0.05 + 100.0 / 255.0; 2 * IMAGE]);
        for (norm, epsilon, level) in [
            // 0.05 is 12.75 levels.
            (Norm::Linf, 0.05, 112.0),
            (Norm::Linf, 0.051, 113.0),
            (Norm::L2, 1.0, 113.0),
        ] {
            let rounded = to_8bit(&moved, &origin, Threat { norm, epsilon }).unwrap();
            assert!(
                values(&rounded).iter().all(|value| *value == level / 255.0),
                "{norm:?} {epsilon}"
            );
        }
        // Twelve pixels of 12.75 levels are 44.17 levels long; with all of them at 13 it would be 45.03.
        let epsilon = 44.2 / 255.0;
        let threat = Threat::l2(epsilon);
        let rounded = values(&to_8bit(&moved, &origin, threat).unwrap());
        let inner = rounded[..IMAGE].iter().filter(|v| **v == 112.0 / 255.0);
        // Each of the inner ones saves 25 of the 2028 - 1953.6 square levels.
        assert_eq!(inner.count(), 3);
    }
}
