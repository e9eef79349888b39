//! The threat model: which perturbations count.

use candle_core::Tensor;

use super::ball::length;
use crate::ops::Real;
use crate::ops::parallel::{chunk, map};
use crate::ops::perturbation::{self, image_len};
use crate::ops::real::view;
use crate::{Error, Result, with_real};

pub use crate::ops::perturbation::{Checks, Norm, Threat};

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
        perturbation::step(images, originals, gradient, *self, step_size)
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
    /// attack: the error names it, and no result is counted. On a card the answer waits for [`Checks::resolve`].
    pub fn check(&self, attack: &str, images: &Tensor, originals: &Tensor) -> Result<Checks> {
        perturbation::check(images, originals, *self, attack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::Start;
    use crate::ops::real::tensor;
    use proptest::prelude::*;

    fn images(values: &[f32]) -> Tensor {
        tensor(values.to_vec(), (values.len() / 4, 1, 2, 2)).unwrap()
    }

    fn threats() -> impl Strategy<Value = Threat> {
        let linf = (1e-4f64..=1.0).prop_map(Threat::linf);
        let l2 = (1e-3f64..4.0).prop_map(Threat::l2);
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
            let normal = threat.normal_start(&originals, &[3, 9], start, 0.1).unwrap();
            threat.check("start", &normal, &originals).unwrap().resolve().unwrap();
            let mut x = threat.random_start(&originals, &[3, 9], start).unwrap();
            threat.check("start", &x, &originals).unwrap().resolve().unwrap();
            for _ in 0..3 {
                x = threat.step(&x, &originals, &images(&gradient), size).unwrap();
                threat.check("step", &x, &originals).unwrap().resolve().unwrap();
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
        let threat = Threat::linf(0.1);
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
        let threat = Threat::linf(0.1);
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
