//! The threat model: which perturbations count. All that knows about norms is here.

use candle_core::Tensor;

use super::ball::{distance, length, step_l2, step_linf};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut, map};
use crate::ops::place::on_card;
use crate::ops::real::{scratch, tensor, view};
use crate::{Error, Result, with_real};

/// The norm that bounds a perturbation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// Largest change of any pixel value.
    Linf,
    /// Euclidean length over all pixel values of an image.
    L2,
    /// Largest change of any pixel value in units of its channel: the standard deviations of a normalisation make this
    /// the largest change of any normalised value. The last unit counts for all further channels.
    ChannelLinf([f64; 3]),
}

impl Norm {
    /// How much of a pixel value is one unit of the norm in channel `channel`.
    pub(crate) fn unit(&self, channel: usize) -> f64 {
        match self {
            Self::Linf | Self::L2 => 1.0,
            Self::ChannelLinf(units) => units[channel.min(units.len() - 1)],
        }
    }
}

/// A ball around each original, within the pixel range [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threat {
    pub norm: Norm,
    /// Radius of the ball.
    pub epsilon: f64,
}

/// How far a perturbed image is from its original.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    pub linf: f64,
    pub l2: f64,
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
        on_card!(originals, card => {
            super::on_card::perturbation::step(card, *self, images, originals, gradient, step_size)
        });
        with_real!(originals.dtype(), T => {
            let (x, o, g) = (&*view::<T>(images)?, &*view::<T>(originals)?, &*view::<T>(gradient)?);
            let (image, plane) = (image_len(originals)?, plane_len(originals)?);
            let mut out = scratch::<T>(o.len());
            chunks_mut(&mut out, image, &|i, out| {
                let (x, o, g) = (chunk(x, image, i), chunk(o, image, i), chunk(g, image, i));
                match self.norm {
                    Norm::Linf => step_linf(x, o, g, T::of(step_size), T::of(self.epsilon), out),
                    Norm::L2 => step_l2(x, o, g, step_size, self.epsilon, out),
                    Norm::ChannelLinf(_) => {
                        for (c, out) in out.chunks_mut(plane).enumerate() {
                            let unit = self.norm.unit(c);
                            let (step, epsilon) = (T::of(step_size * unit), T::of(self.epsilon * unit));
                            let (x, o, g) = (chunk(x, plane, c), chunk(o, plane, c), chunk(g, plane, c));
                            step_linf(x, o, g, step, epsilon, out);
                        }
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
                        l2: length(differences()),
                    }
                }))
        })
    }

    /// How far outside the ball an image may lie: pixels are rounded to f32, and a sum of squares of some thousand of
    /// them is off by as many half units.
    pub(crate) fn slack(&self) -> f64 {
        1e-6 * (1.0 + self.epsilon)
    }

    /// Refuses a ball that is measured channel by channel, for an attack that is bounded in the norms linf and l2 alone.
    pub(super) fn refuse_channels(&self, attack: &str) -> Result<()> {
        match self.norm {
            Norm::Linf | Norm::L2 => Ok(()),
            Norm::ChannelLinf(_) => Err(Error::failed(format!(
                "{attack}: bounded in the norms linf and l2 alone"
            ))),
        }
    }

    /// Whether every image is finite, within the pixel range and within the ball. A violation is a defect of an
    /// attack: the error names it, and no result is counted. On a card the answer waits for [`settle`].
    pub fn check(&self, attack: &str, images: &Tensor, originals: &Tensor) -> Result<()> {
        if images.dims() != originals.dims() {
            return Err(Error::failed(format!(
                "{attack}: perturbed images of shape {:?} for originals of shape {:?}",
                images.dims(),
                originals.dims()
            )));
        }
        on_card!(originals, card => super::on_card::faults::note(card, *self, images, originals));
        with_real!(images.dtype(), T => {
            let x = view::<T>(images)?;
            match x.iter().find(|v| !(T::ZERO..=T::ONE).contains(*v)) {
                Some(pixel) => Err(Error::failed(format!(
                    "{attack}: a perturbed pixel is {pixel}, outside [0, 1]"
                ))),
                None => Ok(()),
            }
        })?;
        let (image, plane) = (image_len(originals)?, plane_len(originals)?);
        let found = with_real!(originals.dtype(), T => {
            let (x, o) = (&*view::<T>(images)?, &*view::<T>(originals)?);
            Ok::<_, Error>(map(x.len() / image, &|i| {
                distance(self.norm, chunk(x, image, i), chunk(o, image, i), plane)
            }))
        })?;
        for (i, found) in found.into_iter().enumerate() {
            if found > self.epsilon + self.slack() {
                return Err(Error::failed(format!(
                    "{attack}: image {i} of a batch is {found} from its original in {:?}, outside the ball of {}",
                    self.norm, self.epsilon
                )));
            }
        }
        Ok(())
    }
}

/// Waits for the checks that were made on cards by this thread, see [`Threat::check`].
///
/// # Errors
/// An attack left the pixel range or its ball: a defect, and no result may be counted.
pub fn settle() -> Result<()> {
    #[cfg(any(feature = "cuda", test))]
    super::on_card::faults::settle()?;
    Ok(())
}

/// Forgets the checks that nobody waited for: those of a stage that ended early.
pub fn forget_checks() {
    #[cfg(any(feature = "cuda", test))]
    super::on_card::faults::forget();
}

/// Values of an image.
pub(super) fn image_len(images: &Tensor) -> Result<usize> {
    let (_, c, h, w) = images.dims4()?;
    Ok(c * h * w)
}

/// Values of a channel of an image.
pub(super) fn plane_len(images: &Tensor) -> Result<usize> {
    let (_, _, h, w) = images.dims4()?;
    Ok(h * w)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::Start;
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
        let channels = (1e-3f64..=0.5).prop_map(|epsilon| Threat {
            norm: Norm::ChannelLinf([0.2, 0.25, 0.3]),
            epsilon,
        });
        prop_oneof![linf, l2, channels]
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
            ..Start::default()
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
