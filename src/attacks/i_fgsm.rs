//! I-FGSM, the basic iterative method (Kurakin, Goodfellow and Bengio, arXiv 1607.02533), and what attacks that shall carry over to
//! other models combine it with: momentum, input transformations, losses. The published combinations are presets.

use super::momentum::Momentum;
use super::settings::{Compat, Making, Preset, Settings};
use super::transform::{self, InputTransform};
use super::{Attack, Goal, Objective, Steps, Threat};
use crate::Result;
use crate::choice::choices;
use crate::ops::logit_score::Score;
use crate::spec::tagged::{list_identity, optional_identity, optional_tagged};
use crate::spec::{Iterations, NonNegative, Restarts, StepSize, section};

/// Why a decay has no effect.
pub(super) const NO_MOMENTUM: &str = "there is no momentum";

choices! {
    /// What the steps ascend.
    StepLoss {
        CrossEntropy = "ce",
        Logit = "logit",
        Margin = "margin",
    }
}

section! {
    /// The settings of I-FGSM.
    IFgsmSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps; required.
        k: usize [required as Iterations] smoke 2,
        /// What becomes of the gradients of the steps: "none", or a kind of momentum, or { kind = "...", ... } with settings of its
        /// own; default "none".
        momentum: Option<Momentum> [by optional_tagged, identity optional_identity],
        /// With momentum, the share of the accumulated gradient that a step keeps, mu in the papers; default 1.
        decay: f64 [as NonNegative, or 1.0],
        /// What images go through before the network, in this order: a list of input transformations, by name or as
        /// { kind = "...", ... }; default none.
        transform: Vec<InputTransform> [by transform::read, identity list_identity],
        /// What the steps ascend: "ce", the cross-entropy; "logit", minus the label's logit, or the target class's; or "margin",
        /// the largest other logit, or the target class's, less the label's; default "ce".
        loss: StepLoss [or StepLoss::CrossEntropy],
        /// Start from a random point of the ball; default false.
        random_start: bool [or false],
        /// Tries on each example, with other random numbers, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// Whether an image is left as the first step that succeeds on it leaves it, and costs no more passes; otherwise every image
        /// takes all steps, and the last one counts; default false.
        early_stop: bool [or false],
        /// The class to aim at: "none", "next-likely", "least-likely" or its number; default "none".
        target: Goal [or Goal::Misclassify],
        /// "original": a ball of 2 epsilon in normalised units, and the raw logit as loss; default "none".
        compat: Compat [or Compat::None],
    }
    check(fields) {
        let draws = momentum.iter().flatten().any(|momentum| momentum.is_random())
            || transform.iter().flatten().any(|one| one.is_random());
        if random_start == Some(false) && !draws {
            let why = "every try is the same: random_start is false, and nothing else draws random numbers";
            fields.idle("restarts", &mut restarts, 1, why);
        }
        if momentum == Some(None) {
            fields.idle("decay", &mut decay, 1.0, NO_MOMENTUM);
        }
        if compat == Some(Compat::Original) {
            fields.idle("loss", &mut loss, StepLoss::CrossEntropy, "attack.compat = \"original\" says which");
        }
        let combined = momentum.as_ref().is_some_and(Option::is_some)
            || transform.as_ref().is_some_and(|list| !list.is_empty());
        if combined && early_stop == Some(true) {
            fields.fault("early_stop", "expected false: attacks with momentum or transformations take all their steps");
        }
    }
}

impl Steps {
    /// I-FGSM: `k` steps of `step_size` from the original.
    pub fn i_fgsm(threat: Threat, step_size: f64, k: usize) -> Self {
        Self::from_original("i-fgsm", threat, step_size, k)
    }
}

impl Settings for IFgsmSettings {
    const NAME: &'static str = "i-fgsm";
    const ABOUT: &'static str = "k signed gradient steps, each projected back into the ball";
    const PAPER: &'static str = "Kurakin et al., 2017, arXiv 1607.02533";
    const PRESETS: &'static [Preset] = &[
        Preset {
            name: "mi-fgsm",
            settings: "momentum = \"accumulated\"",
            paper: "Dong et al., 2018, arXiv 1710.06081",
        },
        Preset {
            name: "ni-fgsm",
            settings: "momentum = \"nesterov\"",
            paper: "Lin et al., 2020, arXiv 1908.06281",
        },
        Preset {
            name: "vmi-fgsm",
            settings: "momentum = \"variance\"",
            paper: "Wang and He, 2021, arXiv 2103.15571",
        },
        Preset {
            name: "vni-fgsm",
            settings: "momentum = { kind = \"variance\", nesterov = true }",
            paper: "Wang and He, 2021, arXiv 2103.15571",
        },
        Preset {
            name: "emi-fgsm",
            settings: "momentum = \"enhanced\"",
            paper: "Wang et al., 2021, arXiv 2103.10609",
        },
        Preset {
            name: "di-fgsm",
            settings: "transform = [\"diverse-input\"]",
            paper: "Xie et al., 2019, arXiv 1803.06978",
        },
        Preset {
            name: "ti-fgsm",
            settings: "transform = [\"translation-invariant\"]",
            paper: "Dong et al., 2019, arXiv 1904.02884",
        },
        Preset {
            name: "si-ni-fgsm",
            settings: "momentum = \"nesterov\"\ntransform = [\"scale-invariant\"]",
            paper: "Lin et al., 2020, arXiv 1908.06281",
        },
        Preset {
            name: "admix",
            settings: "momentum = \"accumulated\"\ntransform = [\"admix\", \"scale-invariant\"]",
            paper: "Wang et al., 2021, arXiv 2102.00436",
        },
        Preset {
            name: "ssa",
            settings: "momentum = \"accumulated\"\ntransform = [\"spectrum\"]",
            paper: "Long et al., 2022, arXiv 2207.05382",
        },
    ];
    const IS_FOR_TRAINING: bool = true;

    fn compat(&self) -> Compat {
        self.compat
    }

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let objective = match self.loss {
            StepLoss::CrossEntropy => self.compat.loss(),
            StepLoss::Logit => Objective::Score(Score::Logit),
            StepLoss::Margin => Objective::Score(Score::Margin),
        };
        Ok(vec![Box::new(Steps {
            name: making.name.unwrap_or(Self::NAME),
            momentum: self.momentum.clone(),
            decay: self.decay,
            transforms: self.transform.clone(),
            random_start: self.random_start,
            restarts: self.restarts,
            early_stop: self.early_stop,
            objective,
            goal: making.goal(Self::NAME, self.target)?,
            ..Steps::i_fgsm(making.threat, self.step_size, self.k)
        })])
    }
}
