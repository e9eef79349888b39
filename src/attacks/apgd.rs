//! APGD (Croce and Hein, arXiv 2003.01690): projected gradient ascent that chooses its own step sizes.

pub(super) mod ascent;

use candle_core::Tensor;

use self::ascent::Ascent;
use super::settings::{Making, Preset, Settings};
use super::target_classes::{InTurn, Towards, in_turn};
use super::{Attack, Objective, Originals, Threat, Victim};
use crate::Result;
use crate::ops::logit_score::Score;
use crate::spec::{Count, Fields, Iterations, Restarts, section};

crate::choice::choices! {
    /// What APGD ascends.
    ApgdLoss {
        /// The cross-entropy.
        CrossEntropy = "ce",
        /// The difference of logits ratio.
        Dlr = "dlr",
    }
}

impl ApgdLoss {
    fn objective(self) -> Objective {
        match self {
            Self::CrossEntropy => Objective::CrossEntropy,
            Self::Dlr => Objective::Score(Score::Dlr),
        }
    }
}

section! {
    /// The settings of APGD.
    ApgdSettings {
        /// Number of steps; default 100.
        k: usize [as Iterations, or 100] smoke 2,
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// What it ascends: "ce" (cross-entropy) or "dlr" (difference of logits ratio); default "ce".
        loss: ApgdLoss [or ApgdLoss::CrossEntropy],
    }
    check(fields) {
        few_steps(fields, k, "apgd");
    }
}

section! {
    /// The settings of APGD-T.
    ApgdTSettings {
        /// Number of steps towards each class; default 100.
        k: usize [as Iterations, or 100] smoke 2,
        /// Tries on each example, from different random starts, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// Wrong classes that it goes for, the likeliest first; default 9, or all where there are fewer.
        n_target_classes: Option<usize> [optional as Count],
    }
    check(fields) {
        few_steps(fields, k, "apgd-t");
    }
}

/// Remarks on a number of steps that `[attack]` gives to attacks of fixed steps too, for which fewer do.
pub(super) fn few_steps(fields: &mut Fields, k: Option<usize>, attack: &str) {
    if let Some(k) =
        k.filter(|&k| k < 100 && fields.is_written("k") && fields.is_written("step_size"))
    {
        let message = format!(
            "{k} steps are few for {attack}, whose own number is 100, which it takes as {{ kind = \"{attack}\" }} in the list"
        );
        fields.warn("k", &message);
    }
}

impl Settings for ApgdSettings {
    const NAME: &'static str = "apgd";
    const ABOUT: &'static str = "k gradient steps that choose their own size";
    const PAPER: &'static str = "Croce and Hein, 2020, arXiv 2003.01690";
    const PRESETS: &'static [Preset] = &[
        Preset {
            name: "apgd-ce",
            settings: "loss = \"ce\"",
            paper: "",
        },
        Preset {
            name: "apgd-dlr",
            settings: "loss = \"dlr\"",
            paper: "",
        },
    ];
    const IS_FOR_TRAINING: bool = true;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let name = match (making.in_ensemble, self.loss) {
            (false, _) => Self::NAME,
            (true, ApgdLoss::CrossEntropy) => "apgd-ce",
            (true, ApgdLoss::Dlr) => "apgd-dlr",
        };
        making.require(
            &format!("{name} with loss \"{}\"", self.loss),
            self.loss.objective(),
        )?;
        Ok(vec![Box::new(Apgd {
            name,
            threat: making.threat,
            k: self.k,
            restarts: self.restarts,
            objective: self.loss.objective(),
            target_classes: 0,
            stop_at_success: making.in_ensemble,
        })])
    }
}

impl Settings for ApgdTSettings {
    const NAME: &'static str = "apgd-t";
    const ABOUT: &'static str = "apgd towards each of the likeliest wrong classes in turn";
    const PAPER: &'static str = "Croce and Hein, 2020, arXiv 2003.01690";
    const IS_FOR_TRAINING: bool = true;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        making.require(Self::NAME, Objective::Score(Score::TargetedDlr))?;
        Ok(vec![Box::new(Apgd {
            name: Self::NAME,
            threat: making.threat,
            k: self.k,
            restarts: self.restarts,
            objective: Objective::Score(Score::TargetedDlr),
            target_classes: making.target_classes(Self::NAME, self.n_target_classes)?,
            stop_at_success: making.in_ensemble,
        })])
    }
}

/// `k` steps with momentum, the first of length `2 epsilon`, from a random point of the ball's border.
pub struct Apgd {
    /// The name in result files: it tells apart the members of an ensemble.
    pub name: &'static str,
    pub threat: Threat,
    pub k: usize,
    pub restarts: usize,
    /// What it ascends.
    pub objective: Objective,
    /// How many of the likeliest wrong classes it goes for in turn; 0 where it leaves the label for any other.
    pub target_classes: usize,
    /// Whether an example is left at its first misclassified point, as an ensemble does that only counts them, or
    /// driven on to a higher loss.
    pub stop_at_success: bool,
}

impl Apgd {
    fn ascent<'a>(&self, target_classes: Option<&'a [u32]>) -> Ascent<'a> {
        Ascent {
            attack: self.name,
            threat: self.threat,
            k: self.k,
            objective: self.objective,
            target_classes,
            stop_at_success: self.stop_at_success,
        }
    }
}

impl Attack for Apgd {
    fn name(&self) -> &'static str {
        self.name
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn restarts(&self) -> usize {
        self.restarts
    }

    fn in_turn(&self) -> Option<&dyn InTurn> {
        (self.target_classes > 0).then_some(self)
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        Ok(self.perturb_counting(victim, originals)?.0)
    }

    fn perturb_counting(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Tensor, Option<Vec<usize>>)> {
        if self.target_classes > 0 {
            return Ok((in_turn(self, victim, originals)?, None));
        }
        let reached = self.ascent(None).run(victim, originals)?;
        Ok((reached.images, Some(reached.steps)))
    }
}

impl InTurn for Apgd {
    fn classes(&self) -> usize {
        self.target_classes
    }

    fn towards(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        target_classes: &[u32],
    ) -> Result<Towards> {
        let reached = self.ascent(Some(target_classes)).run(victim, originals)?;
        Ok(Towards {
            images: reached.images,
            broken: reached.broken,
        })
    }
}
