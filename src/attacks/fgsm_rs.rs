//! FGSM-RS (Wong, Rice and Kolter, arXiv 2001.03994): one step from a random point of the ball, longer than its radius.

use super::settings::{Making, Settings};
use super::{Attack, Steps, Threat};
use crate::Result;
use crate::spec::range::Positive;
use crate::spec::section;

section! {
    /// The settings of FGSM-RS.
    FgsmRsSettings {
        /// Length of the step in radii of the ball, so that it grows with epsilon; default 1.25, as in the paper.
        relative_step_size: f64 [as Positive, or 1.25],
    }
}

impl Steps {
    /// FGSM-RS: one step of `relative` radii from a uniformly random point of the ball, projected into it.
    pub fn fgsm_rs(threat: Threat, relative: f64) -> Self {
        Self {
            random_start: true,
            ..Self::from_original("fgsm-rs", threat, relative * threat.epsilon, 1)
        }
    }
}

impl Settings for FgsmRsSettings {
    const NAME: &'static str = "fgsm-rs";
    const ABOUT: &'static str =
        "one step of 1.25 epsilon from a uniformly random point of the ball";
    const PAPER: &'static str = "Wong, Rice and Kolter, 2020, arXiv 2001.03994";
    const IS_FOR_TRAINING: bool = true;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Steps::fgsm_rs(
            making.threat,
            self.relative_step_size,
        ))])
    }
}
