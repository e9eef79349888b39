//! APGD (Croce and Hein, arXiv 2003.01690): projected gradient ascent that chooses its own step sizes.

use candle_core::{Device, Tensor};

use super::climb::Climb;
use super::targets::{InTurn, Towards, in_turn};
use super::{Attack, Objective, Originals, Target, Threat};
use crate::ops::device::bring;
use crate::ops::real::tensor;
use crate::{Result, with_real};

/// What APGD ascends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApgdLoss {
    /// The cross-entropy.
    CrossEntropy,
    /// The difference of logits ratio.
    Dlr,
    /// The targeted difference of logits ratio, towards each of the `classes` likeliest wrong classes in turn.
    TargetedDlr { classes: usize },
}

/// `k` steps with momentum, the first of length `2 epsilon`, from a random point of the ball's border.
pub struct Apgd {
    /// The name in result files: it tells apart the members of an ensemble.
    pub name: &'static str,
    pub threat: Threat,
    pub k: usize,
    pub restarts: usize,
    pub loss: ApgdLoss,
    /// Whether an example is left at its first misclassified point, as an ensemble does that only counts them, or
    /// driven on to a higher loss.
    pub stop_at_success: bool,
}

impl Apgd {
    fn climb<'a>(&self, objective: Objective, targets: Option<&'a [u32]>) -> Climb<'a> {
        Climb {
            attack: self.name,
            threat: self.threat,
            k: self.k,
            objective,
            targets,
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
        matches!(self.loss, ApgdLoss::TargetedDlr { .. }).then_some(self)
    }

    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let images = &bring(originals.images, &Device::Cpu)?;
        let originals = Originals {
            images,
            ..originals
        };
        let objective = match self.loss {
            ApgdLoss::CrossEntropy => Objective::CrossEntropy,
            ApgdLoss::Dlr => Objective::Dlr,
            ApgdLoss::TargetedDlr { .. } => return in_turn(self, target, originals),
        };
        with_real!(originals.images.dtype(), T => {
            let summit = self.climb(objective, None).run::<T>(target, originals)?;
            tensor(summit.images, originals.images.shape())
        })
    }
}

impl InTurn for Apgd {
    fn classes(&self) -> usize {
        match self.loss {
            ApgdLoss::TargetedDlr { classes } => classes,
            ApgdLoss::CrossEntropy | ApgdLoss::Dlr => 0,
        }
    }

    fn towards(
        &self,
        target: &Target<'_>,
        originals: Originals<'_>,
        aims: &[u32],
    ) -> Result<Towards> {
        let climb = self.climb(Objective::TargetedDlr, Some(aims));
        with_real!(originals.images.dtype(), T => {
            let summit = climb.run::<T>(target, originals)?;
            let images = tensor(summit.images, originals.images.shape())?;
            Ok(Towards { images, broken: summit.broken })
        })
    }
}
