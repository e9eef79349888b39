//! Attacks on trained models: a threat model, a victim that gives gradients, one file per attack, and `craft`.
//!
//! Pixels are in [0, 1], images `(N, C, H, W)`. An attack proposes; `craft` checks that every proposal is inside
//! the ball and inside the pixel range before a success is counted, and counts by the model's own answer.

mod craft;
pub mod draws;
mod eight_bit;
mod entry;
mod evaluation;
mod features;
mod goal;
mod kind;
mod leaving;
pub mod momentum;
mod objective;
mod rows;
pub mod sanity;
mod section;
mod settings;
mod square_window;
mod start;
mod steps;
mod target_classes;
#[cfg(test)]
mod tests;
mod threat;
pub mod transform;
mod victim;

settings::attacks! {
    fgsm: Fgsm(FgsmSettings);
    fgsm_rs: FgsmRs(FgsmRsSettings);
    n_fgsm: NFgsm(NFgsmSettings);
    i_fgsm: IFgsm(IFgsmSettings);
    ila: Ila(IlaSettings);
    fia: Fia(FiaSettings);
    pgd: Pgd(PgdSettings);
    apgd: Apgd(ApgdSettings), ApgdT(ApgdTSettings);
    fab: Fab(FabSettings), FabT(FabTSettings);
    fmn: Fmn(FmnSettings);
    square: Square(SquareSettings);
    auto_attack: AutoAttack(AutoAttackSettings);
}

pub use apgd::Apgd;
pub use craft::{correct, craft, predictions};
pub use eight_bit::to_8bit;
pub use entry::Entry;
pub(crate) use entry::{Shared, read_item};
pub use evaluation::{AttackEvaluation, Batch, Fate, Kept, KeptState};
pub use fab::Fab;
pub(crate) use features::activation;
pub use fmn::Fmn;
pub use goal::Goal;
pub use kind::AttackName;
pub use objective::Objective;
pub use section::{AttackHead, AttackSpec, ModelMode};
pub(crate) use section::{kinds_of_stage, lists_attacks};
pub use settings::{Compat, Description, Preset};
pub use square::{Schedule, Square};
pub use start::Start;
pub use steps::Steps;
pub use target_classes::{InTurn, Towards};
pub use threat::{Checks, Distance, Norm, Threat};
pub use victim::{PassCounts, Victim};

use candle_core::Tensor;

use crate::Result;
use crate::ops::perturbation::ball;

/// The examples that an attack starts from.
#[derive(Clone, Copy)]
pub struct Originals<'a> {
    /// `(N, C, H, W)` in [0, 1].
    pub images: &'a Tensor,
    /// True classes.
    pub labels: &'a [u32],
    /// Positions in the data set: random numbers depend on them, not on how examples are batched.
    pub indices: &'a [usize],
    pub start: Start,
    /// Images with their labels that may be mixed into these: all that are attacked, or of a batch of training these.
    pub pool: (&'a Tensor, &'a [u32]),
}

impl<'a> Originals<'a> {
    pub fn new(images: &'a Tensor, labels: &'a [u32], indices: &'a [usize], start: Start) -> Self {
        Self {
            images,
            labels,
            indices,
            start,
            pool: (images, labels),
        }
    }
}

/// A procedure that looks for adversarial examples.
pub trait Attack: Send + Sync {
    /// The attack's name in result files.
    fn name(&self) -> &'static str;

    /// What bounds its perturbations.
    fn threat(&self) -> Threat;

    /// What counts as success.
    fn goal(&self) -> Goal {
        Goal::Misclassify
    }

    /// How often it is tried on examples that withstand, each time with other random numbers.
    fn restarts(&self) -> usize {
        1
    }

    /// Whether it asks for logits alone, never for gradients.
    fn is_black_box(&self) -> bool {
        false
    }

    /// The loop of steps of one size that it is, where it is one.
    fn steps(&self) -> Option<&Steps> {
        None
    }

    /// The activation whose features it works on, where it names one.
    fn layer(&self) -> Option<&str> {
        None
    }

    /// The same attack class by class, where it tries several target classes in turn.
    fn in_turn(&self) -> Option<&dyn InTurn> {
        None
    }

    /// Perturbed images, one for each original, inside the threat model.
    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor>;

    /// The same, and the steps per image until the model first gave an answer that the attack wants: all steps where it gave
    /// none before the last. A black-box attack counts the images that it asks about; an attack that looks at no answers on its
    /// way counts nothing.
    fn perturb_counting(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Tensor, Option<Vec<usize>>)> {
        Ok((self.perturb(victim, originals)?, None))
    }
}
