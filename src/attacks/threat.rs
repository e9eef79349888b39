//! The threat model: which perturbations count. All that knows about norms is here.

use candle_core::Tensor;
use rand::Rng;
use rand_distr::StandardNormal;

use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut, map};
use crate::ops::real::{scratch, tensor, view};
use crate::rng::{Purpose, stream};
use crate::{Error, Result, simd, with_real};

/// The norm that bounds a perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Largest change of any pixel value.
    Linf,
    /// Euclidean length over all pixel values of an image.
    L2,
}

/// A ball around each original, within the pixel range [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threat {
    pub norm: Norm,
    /// Radius of the ball.
    pub epsilon: f64,
}

/// Where random starts come from: they are a function of this and the example's position in the data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    pub seed: u64,
    pub epoch: u64,
    /// Tells apart the uses within an epoch: training, evaluation, restarts.
    pub round: u64,
}

/// How far a perturbed image is from its original.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    pub linf: f64,
    pub l2: f64,
}

simd! {
    /// One step of length `step` along the sign of the gradient, then into the ball and the pixel range.
    fn step_linf<T>(x: &[T], origin: &[T], gradient: &[T], step: T, epsilon: T, out: &mut [T]) {
        for (((y, &x), &o), &g) in out.iter_mut().zip(x).zip(origin).zip(gradient) {
            let sign = if g > T::ZERO {
                T::ONE
            } else if g < T::ZERO {
                -T::ONE
            } else {
                T::ZERO
            };
            *y = into_linf(x + step * sign, o, epsilon);
        }
    }
}

/// The nearest value within `epsilon` of `origin` and within [0, 1].
#[inline(always)]
fn into_linf<T: Real>(x: T, origin: T, epsilon: T) -> T {
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

fn norm<T: Real>(values: impl Iterator<Item = T>) -> f64 {
    values.map(|v| v.wide() * v.wide()).sum::<f64>().sqrt()
}

/// Moves `x` back along the line to `origin` until it is within `epsilon`, then into the pixel range, which can only
/// bring it nearer.
fn into_l2<T: Real>(x: &mut [T], origin: &[T], epsilon: f64) {
    let length = norm(x.iter().zip(origin).map(|(&x, &o)| x - o));
    let shrink = if length > epsilon {
        T::of(epsilon / length)
    } else {
        T::ONE
    };
    for (x, &o) in x.iter_mut().zip(origin) {
        let moved = o + (*x - o) * shrink;
        *x = if moved < T::ZERO {
            T::ZERO
        } else if moved > T::ONE {
            T::ONE
        } else {
            moved
        };
    }
}

impl Threat {
    /// The images after one ascent step: along the gradient's sign (linf) or direction (l2), projected into the ball
    /// and the pixel range. A zero gradient moves nothing.
    pub fn step(
        &self,
        images: &Tensor,
        originals: &Tensor,
        gradient: &Tensor,
        step_size: f64,
    ) -> Result<Tensor> {
        with_real!(originals.dtype(), T => {
            let (x, o, g) = (&*view::<T>(images)?, &*view::<T>(originals)?, &*view::<T>(gradient)?);
            let image = image_len(originals)?;
            let mut out = scratch::<T>(o.len());
            chunks_mut(&mut out, image, &|i, out| {
                let (x, o, g) = (chunk(x, image, i), chunk(o, image, i), chunk(g, image, i));
                match self.norm {
                    Norm::Linf => step_linf(x, o, g, T::of(step_size), T::of(self.epsilon), out),
                    Norm::L2 => {
                        let length = norm(g.iter().copied());
                        let scale = if length > 0.0 { T::of(step_size / length) } else { T::ZERO };
                        for ((y, &x), &g) in out.iter_mut().zip(x).zip(g) {
                            *y = x + scale * g;
                        }
                        into_l2(out, o, self.epsilon);
                    }
                }
                });
            tensor(out, originals.shape())
        })
    }

    /// The originals, each moved to a point drawn uniformly from its ball, within the pixel range.
    pub fn random_start(
        &self,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
    ) -> Result<Tensor> {
        let image = image_len(originals)?;
        with_real!(originals.dtype(), T => {
            let o = &*view::<T>(originals)?;
            let mut out = scratch::<T>(o.len());
            chunks_mut(&mut out, image, &|i, out| {
                    let (o, index) = (chunk(o, image, i), indices[i]);
                    let Start { seed, epoch, round } = start;
                    let mut rng = stream(seed, Purpose::AttackStart, epoch, round, index as u64);
                    match self.norm {
                        Norm::Linf => {
                            for (y, &o) in out.iter_mut().zip(o) {
                                let share = 2.0 * f64::from(rng.random::<f32>()) - 1.0;
                                *y = into_linf(o + T::of(self.epsilon * share), o, T::of(self.epsilon));
                            }
                        }
                        Norm::L2 => {
                            // A normal vector has a uniform direction; the radius's density grows with its surface.
                            let direction: Vec<f64> = (0..o.len()).map(|_| rng.sample(StandardNormal)).collect();
                            let radius = rng.random::<f64>().powf(1.0 / o.len() as f64) * self.epsilon;
                            let scale = radius / norm(direction.iter().copied()).max(f64::MIN_POSITIVE);
                            for ((y, &o), &d) in out.iter_mut().zip(o).zip(&direction) {
                                *y = o + T::of(d * scale);
                            }
                            into_l2(out, o, self.epsilon);
                        }
                    }
                });
            tensor(out, originals.shape())
        })
    }

    /// How far each image is from its original.
    pub fn distances(images: &Tensor, originals: &Tensor) -> Result<Vec<Distance>> {
        let image = image_len(originals)?;
        with_real!(originals.dtype(), T => {
            let (x, o) = (&*view::<T>(images)?, &*view::<T>(originals)?);
            Ok(map(x.len() / image, &|i| {
                    let (x, o) = (chunk(x, image, i), chunk(o, image, i));
                    let differences = || x.iter().zip(o).map(|(x, o)| x.wide() - o.wide());
                    Distance {
                        linf: differences().fold(0.0, |max, d| max.max(d.abs())),
                        l2: norm(differences()),
                    }
                }))
        })
    }

    /// Whether every image is finite, within the pixel range and within the ball. A violation is a defect of an
    /// attack: the error names it, and no result is counted.
    pub fn check(&self, attack: &str, images: &Tensor, originals: &Tensor) -> Result<()> {
        if images.dims() != originals.dims() {
            return Err(Error::failed(format!(
                "{attack}: perturbed images of shape {:?} for originals of shape {:?}",
                images.dims(),
                originals.dims()
            )));
        }
        with_real!(images.dtype(), T => {
            let x = view::<T>(images)?;
            match x.iter().find(|v| !(T::ZERO..=T::ONE).contains(*v)) {
                Some(pixel) => Err(Error::failed(format!(
                    "{attack}: a perturbed pixel is {pixel}, outside [0, 1]"
                ))),
                None => Ok(()),
            }
        })?;
        // Pixels are rounded to f32: a sum of squares of some thousand of them is off by as many half units.
        let slack = 1e-6 * (1.0 + self.epsilon);
        for (i, distance) in Self::distances(images, originals)?.iter().enumerate() {
            let found = match self.norm {
                Norm::Linf => distance.linf,
                Norm::L2 => distance.l2,
            };
            if found > self.epsilon + slack {
                return Err(Error::failed(format!(
                    "{attack}: image {i} of a batch is {found} from its original in {:?}, outside the ball of {}",
                    self.norm, self.epsilon
                )));
            }
        }
        Ok(())
    }
}

fn image_len(images: &Tensor) -> Result<usize> {
    let (_, c, h, w) = images.dims4()?;
    Ok(c * h * w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn images(values: &[f32]) -> Tensor {
        tensor(values.to_vec(), (values.len() / 4, 1, 2, 2)).unwrap()
    }

    fn threats() -> impl Strategy<Value = Threat> {
        let linf = (1e-4f64..=1.0).prop_map(|epsilon| Threat {
            norm: Norm::Linf,
            epsilon,
        });
        let l2 = (1e-3f64..4.0).prop_map(|epsilon| Threat {
            norm: Norm::L2,
            epsilon,
        });
        prop_oneof![linf, l2]
    }

    proptest! {
        #[test]
        fn steps_and_starts_stay_inside(
            threat in threats(),
            pixels in proptest::collection::vec(0f32..=1.0, 8),
            gradient in proptest::collection::vec(-1e3f32..1e3, 8),
            size in 1e-4f64..2.0,
            seed: u64,
        ) {
            let originals = images(&pixels);
            let start = Start { seed, ..Start::default() };
            let mut x = threat.random_start(&originals, &[3, 9], start).unwrap();
            threat.check("start", &x, &originals).unwrap();
            for _ in 0..3 {
                x = threat.step(&x, &originals, &images(&gradient), size).unwrap();
                threat.check("step", &x, &originals).unwrap();
            }
        }

        #[test]
        fn a_zero_gradient_moves_nothing(threat in threats(), pixels in proptest::collection::vec(0f32..=1.0, 4)) {
            let originals = images(&pixels);
            let x = threat.step(&originals, &originals, &images(&[0.0; 4]), 0.1).unwrap();
            prop_assert_eq!(
                x.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                pixels
            );
        }
    }

    #[test]
    fn a_start_belongs_to_the_example_not_to_the_batch() {
        let threat = Threat {
            norm: Norm::Linf,
            epsilon: 0.1,
        };
        let two = images(&[0.5; 8]);
        let start = Start {
            seed: 4,
            epoch: 1,
            round: 0,
        };
        let both = threat.random_start(&two, &[7, 8], start).unwrap();
        let alone = threat
            .random_start(&two.narrow(0, 0, 1).unwrap(), &[8], start)
            .unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&both)[4..], values(&alone)[..]);
        assert_ne!(values(&both)[..4], values(&both)[4..]);
    }

    #[test]
    fn a_point_outside_is_an_error_that_names_it() {
        let threat = Threat {
            norm: Norm::Linf,
            epsilon: 0.1,
        };
        let originals = images(&[0.5; 4]);
        let far = threat.check("pgd", &images(&[0.5, 0.7, 0.5, 0.5]), &originals);
        assert!(
            far.unwrap_err()
                .to_string()
                .contains("outside the ball of 0.1")
        );
        let range = threat.check("pgd", &images(&[0.5, 1.01, 0.5, 0.5]), &originals);
        assert!(range.unwrap_err().to_string().contains("outside [0, 1]"));
        let nan = threat.check("pgd", &images(&[0.5, f32::NAN, 0.5, 0.5]), &originals);
        assert!(nan.unwrap_err().to_string().contains("outside [0, 1]"));
    }
}
