//! NI-FGSM, Nesterov's accelerated gradient in MI-FGSM (Lin et al., arXiv 1908.06281): the gradient is taken where the
//! accumulated one leads.

use candle_core::Tensor;

use super::settings::{Making, Settings};
use super::steps::GradientAt;
use super::{Attack, Goal, Originals, Steps, Threat, Victim};
use crate::Result;
use crate::ops::perturbation::{add_normalised, image_len};
use crate::spec::{Iterations, NonNegative, Restarts, StepSize, section};

section! {
    /// The settings of NI-FGSM.
    NiFgsmSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps; required.
        k: usize [required as Iterations] smoke 2,
        /// Share of the accumulated gradient that a step keeps, mu in the paper; default 1.
        decay: f64 [as NonNegative, or 1.0],
        /// Start from a random point of the ball; default false.
        random_start: bool [or false],
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// The class to aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: Goal [or Goal::Misclassify],
    }
    check(fields) {
        if random_start == Some(false) {
            fields.idle("restarts", &mut restarts, 1, "every start is the same without random_start");
        }
    }
}

/// `k` steps along `m`, which each step sets to `decay m + g / |g|`, with `g` the gradient at `x + step_size decay m`. As in the
/// authors' code `|g|` is the mean of the absolute values, so that the point ahead is about a step away; the paper writes
/// their sum, which would leave it at `x`.
pub struct NiFgsm {
    steps: Steps,
    decay: f64,
}

impl NiFgsm {
    /// From the original away from the label.
    pub fn new(threat: Threat, step_size: f64, k: usize, decay: f64) -> Self {
        Self {
            steps: Steps::from_original("ni-fgsm", threat, step_size, k),
            decay,
        }
    }
}

impl Settings for NiFgsmSettings {
    const NAME: &'static str = "ni-fgsm";
    const ABOUT: &'static str = "as mi-fgsm, the gradient taken where the accumulated one leads";
    const PAPER: &'static str = "Lin et al., 2020, arXiv 1908.06281";
    const IS_FOR_TRAINING: bool = true;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let NiFgsm { steps, decay } =
            NiFgsm::new(making.threat, self.step_size, self.k, self.decay);
        let steps = Steps {
            random_start: self.random_start,
            restarts: self.restarts,
            goal: making.goal(Self::NAME, self.target)?,
            ..steps
        };
        Ok(vec![Box::new(NiFgsm { steps, decay })])
    }
}

impl Attack for NiFgsm {
    fn name(&self) -> &'static str {
        self.steps.name()
    }

    fn threat(&self) -> Threat {
        self.steps.threat()
    }

    fn goal(&self) -> Goal {
        self.steps.goal()
    }

    fn restarts(&self) -> usize {
        self.steps.restarts()
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        // The accumulation is in units of the sum of the absolute values.
        let mean = image_len(originals.images)? as f64;
        let ahead = self.steps.step_size * self.decay * mean;
        let mut momentum: Option<Tensor> = None;
        let mut ahead_of = |x: &Tensor, gradient_at: &GradientAt<'_>| {
            let momentum = match &mut momentum {
                Some(momentum) => momentum,
                none => none.insert(x.zeros_like()?),
            };
            let gradient = gradient_at(&(x + (&*momentum * ahead)?)?)?;
            add_normalised(momentum, &gradient, self.decay)?;
            Ok(momentum.clone())
        };
        self.steps
            .perturb_along(victim, originals, &mut ahead_of, None)
    }
}
