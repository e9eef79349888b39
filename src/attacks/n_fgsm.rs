//! N-FGSM (de Jorge et al., arXiv 2202.01181): one step from an image with more noise than the ball holds, and no way back
//! into it. Its images are for training: none of them says anything about a ball of epsilon.

use candle_core::Tensor;

use super::settings::{Making, Settings};
use super::{Attack, Norm, Objective, Originals, Threat, Victim};
use crate::ops::device::bring;
use crate::spec::range::Positive;
use crate::spec::section;
use crate::{Error, Result};

section! {
    /// The settings of N-FGSM.
    NFgsmSettings {
        /// Noise before the step, uniform in so many epsilon to either side, k in the paper; default 2.
        relative_noise: f64 [as Positive, or 2.0],
        /// Length of the step in epsilon; default 1.
        relative_step_size: f64 [as Positive, or 1.0],
    }
}

/// One signed step from noisy images, clamped to the pixel range alone.
pub struct NFgsm {
    /// The most that the noise moves a pixel value.
    pub noise: f64,
    pub step_size: f64,
}

impl NFgsm {
    fn within(epsilon: f64) -> Threat {
        Threat::linf(epsilon)
    }
}

impl Attack for NFgsm {
    fn name(&self) -> &'static str {
        NFgsmSettings::NAME
    }

    /// As far as noise and step lead together, which is farther than the epsilon that they are measured in.
    fn threat(&self) -> Threat {
        Self::within(self.noise + self.step_size)
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let Originals {
            images,
            labels,
            indices,
            start,
            ..
        } = originals;
        let moved = bring(images, victim.network.device())?;
        let noisy = Self::within(self.noise).random_start(&moved, indices, start)?;
        let gradient = victim.objective_gradient(&noisy, Objective::CrossEntropy, labels, None)?;
        let found = self
            .threat()
            .step(&noisy, &moved, &gradient, self.step_size)?;
        Ok(found.to_device(images.device())?)
    }
}

impl Settings for NFgsmSettings {
    const NAME: &'static str = "n-fgsm";
    const ABOUT: &'static str =
        "one step of epsilon from noise of 2 epsilon, not projected back: for training alone";
    const PAPER: &'static str = "de Jorge et al., 2022, arXiv 2202.01181";
    const IS_FOR_TRAINING: bool = true;
    const IS_FOR_EVALUATION: bool = false;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let Threat { norm, epsilon } = making.threat;
        if norm != Norm::Linf {
            return Err(Error::spec(format!(
                "attack.norm: {}: noise and step are those of \"linf\"",
                Self::NAME
            )));
        }
        Ok(vec![Box::new(NFgsm {
            noise: self.relative_noise * epsilon,
            step_size: self.relative_step_size * epsilon,
        })])
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::attacks::{Start, craft};
    use crate::models::{self, ModelConfig};
    use crate::nn::BackwardPlan;

    #[test]
    fn noise_is_that_of_linf() {
        let settings = NFgsmSettings {
            relative_noise: 2.0,
            relative_step_size: 1.0,
        };
        let attacks = |norm| {
            let threat = Threat { norm, epsilon: 0.1 };
            settings.attacks(&Making {
                threat,
                classes: 3,
                name: None,
                in_ensemble: false,
            })
        };
        let error = attacks(Norm::L2).err().expect("l2 has no such noise");
        assert_eq!(
            error.to_string(),
            "attack.norm: n-fgsm: noise and step are those of \"linf\""
        );
        let reach = attacks(Norm::Linf).unwrap()[0].threat().epsilon;
        assert!((reach - 0.3).abs() < 1e-12);
    }

    #[test]
    fn images_leave_the_ball_and_keep_to_what_noise_and_step_reach() {
        let config = ModelConfig {
            widths: Some(vec![8]),
            ..ModelConfig::new([1, 4, 4], 3)
        };
        let network = models::build("mlp", &config).unwrap();
        let victim = Victim::new(&network, BackwardPlan::none());
        let images = Tensor::full(0.5f32, (2, 1, 4, 4), &Device::Cpu).unwrap();
        let originals = Originals::new(&images, &[0, 2], &[4, 9], Start::default());
        let attack = NFgsm {
            noise: 0.1,
            step_size: 0.05,
        };
        let (found, checks) = craft(&attack, &victim, originals).unwrap();
        checks.resolve().unwrap();
        let distances = Threat::distances(&found, &images).unwrap();
        assert!(
            distances
                .iter()
                .all(|distance| distance.linf > 0.1 && distance.linf <= 0.15 + 1e-6),
            "{distances:?}"
        );
        // The step alone, exact: what it adds to the noise is its length, whatever the noise.
        let noisy = NFgsm::within(0.1)
            .random_start(&images, &[4, 9], originals.start)
            .unwrap();
        let steps = Threat::distances(&found, &noisy).unwrap();
        assert!(
            steps.iter().all(|step| (step.linf - 0.05).abs() < 1e-6),
            "{steps:?}"
        );
    }
}
