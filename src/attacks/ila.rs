//! ILA, the intermediate level attack (Huang et al., ICCV 2019, arXiv 1907.10823): from the original along the direction in
//! which another attack moved the features of an activation.

use candle_core::Tensor;

use super::i_fgsm::NO_MOMENTUM;
use super::momentum::Momentum;
use super::settings::{Making, Settings};
use super::transform::{self, InputTransform};
use super::{Attack, Goal, Originals, Steps, Threat, Victim};
use crate::Result;
use crate::ops::device::bring;
use crate::spec::tagged::{list_identity, optional_identity, optional_tagged};
use crate::spec::{Iterations, NonNegative, StepSize, section};

section! {
    /// The settings of ILA.
    IlaSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps of the reference by i-fgsm, and of those up its direction; required.
        k: usize [required as Iterations] smoke 2,
        /// What becomes of the gradients of the steps: "none", or a kind of momentum, or { kind = "...", ... } with settings of its
        /// own; default "none".
        momentum: Option<Momentum> [by optional_tagged, identity optional_identity],
        /// With momentum, the share of the accumulated gradient that a step keeps, mu in the papers; default 1.
        decay: f64 [as NonNegative, or 1.0],
        /// What images go through before the network, in this order: a list of input transformations, by name or as
        /// { kind = "...", ... }; default none.
        transform: Vec<InputTransform> [by transform::read, identity list_identity],
        /// The activation whose output, the features, the attack works on, by its name in the model; default the middle one.
        layer: Option<String> [optional],
        /// The class to aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: Goal [or Goal::Misclassify],
    }
    check(fields) {
        if momentum == Some(None) {
            fields.idle("decay", &mut decay, 1.0, NO_MOMENTUM);
        }
    }
}

/// I-FGSM makes a reference; as many steps from the original then ascend `<F(x) - F(original), F(reference) - F(original)>`, the
/// projection of the features' change on that of the reference (the paper's ILAP). Momentum and transformations serve both.
pub struct Ila {
    steps: Steps,
    layer: Option<String>,
}

impl Ila {
    /// Away from the label, on the features at `layer`, or in the middle.
    pub fn new(threat: Threat, step_size: f64, k: usize, layer: Option<String>) -> Self {
        Self::by(Steps::from_original("ila", threat, step_size, k), layer)
    }

    /// The same by steps with momentum or transformations.
    pub fn by(steps: Steps, layer: Option<String>) -> Self {
        Self { steps, layer }
    }
}

impl Settings for IlaSettings {
    const NAME: &'static str = "ila";
    const ABOUT: &'static str =
        "i-fgsm, then steps along its direction in the features of one layer";
    const PAPER: &'static str = "Huang et al., 2019, arXiv 1907.10823";

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let Ila { steps, layer } =
            Ila::new(making.threat, self.step_size, self.k, self.layer.clone());
        let steps = Steps {
            momentum: self.momentum.clone(),
            decay: self.decay,
            transforms: self.transform.clone(),
            goal: making.goal(Self::NAME, self.target)?,
            ..steps
        };
        Ok(vec![Box::new(Ila { steps, layer })])
    }
}

impl Attack for Ila {
    fn name(&self) -> &'static str {
        self.steps.name()
    }

    fn threat(&self) -> Threat {
        self.steps.threat()
    }

    fn goal(&self) -> Goal {
        self.steps.goal()
    }

    fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let layer = victim.layer_or_middle(self.layer())?;
        let reference = self.steps.perturb(victim, originals)?;
        let features =
            |images: &Tensor| victim.features(&bring(images, victim.network.device())?, layer);
        let direction = (features(&reference)? - features(originals.images)?)?;
        // The projection's gradient with respect to the features is the same everywhere.
        let gradient_at =
            |x: &Tensor| victim.gradient_through_features(x, layer, |_| Ok(direction.clone()));
        self.steps.perturb_up(victim, originals, &gradient_at)
    }
}
