//! Attacks on trained models: a threat model, a target that gives gradients, one file an attack, and the driver.
//!
//! Pixels are in [0, 1], images `(N, C, H, W)`. An attack proposes; the driver checks that every proposal is inside
//! the ball and inside the pixel range before anybody counts a success, and counts by the model's own answer.

mod apgd;
mod campaign;
mod climb;
mod driver;
mod eight_bit;
mod fab;
mod fgsm;
mod hyperplane;
mod i_fgsm;
mod mi_fgsm;
mod objective;
mod pgd;
mod rows;
pub mod sanity;
mod square;
mod square_window;
mod start;
mod steps;
mod target;
mod targets;
#[cfg(test)]
mod tests;
mod threat;

pub use apgd::{Apgd, ApgdLoss};
pub use campaign::{Batch, Campaign, Fate, Kept, KeptState};
pub use driver::{correct, craft, predictions};
pub use eight_bit::to_8bit;
pub use fab::Fab;
pub use objective::Objective;
pub use square::{Schedule, Square};
pub use start::Start;
pub use steps::Steps;
pub use target::Target;
pub use targets::{InTurn, Towards};
pub use threat::{Checks, Distance, Norm, Threat};

use candle_core::{Device, Tensor};

use crate::Result;
use crate::ops::device::bring;
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
}

impl<'a> Originals<'a> {
    /// The same with their images brought to the CPU, into `here`, for an attack that keeps its books there.
    fn on_cpu<'b>(self, here: &'b mut Option<Tensor>) -> Result<Originals<'b>>
    where
        'a: 'b,
    {
        let images = here.insert(bring(self.images, &Device::Cpu)?);
        Ok(Originals { images, ..self })
    }
}

/// What a perturbed image has to do for the attack to have succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// Be classified as anything but its label.
    #[default]
    Misclassify,
    /// Be classified as the class that the model holds likeliest beside the label.
    NextLikely,
    /// Be classified as the class that the model holds least likely.
    LeastLikely,
    /// Be classified as this class; examples of that class are left alone.
    Class(u32),
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

    /// The same attack class by class, where it tries several target classes in turn.
    fn in_turn(&self) -> Option<&dyn InTurn> {
        None
    }

    /// Perturbed images, one for each original, inside the threat model.
    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor>;
}
