//! Attacks on trained models: a threat model, a target that gives gradients, one file an attack, and the driver.
//!
//! Pixels are in [0, 1], images `(N, C, H, W)`. An attack proposes; the driver checks that every proposal is inside
//! the ball and inside the pixel range before anybody counts a success.

mod driver;
mod fgsm;
mod i_fgsm;
mod pgd;
mod steps;
mod target;
mod threat;

pub use driver::{correct, craft, predictions, to_8bit};
pub use fgsm::Fgsm;
pub use i_fgsm::IFgsm;
pub use pgd::Pgd;
pub use target::Target;
pub use threat::{Distance, Norm, Start, Threat};

use candle_core::Tensor;

use crate::Result;

/// The examples that an attack starts from.
#[derive(Clone, Copy)]
pub struct Originals<'a> {
    /// `(N, C, H, W)` in [0, 1].
    pub images: &'a Tensor,
    /// True classes.
    pub labels: &'a [u32],
    /// Positions in the data set: random starts depend on them, not on how examples are batched.
    pub indices: &'a [usize],
    pub start: Start,
}

/// A procedure that looks for adversarial examples.
pub trait Attack: Send + Sync {
    /// The attack's name in specs and result files.
    fn name(&self) -> &'static str;

    /// What bounds its perturbations.
    fn threat(&self) -> Threat;

    /// Perturbed images, one for each original, inside the threat model.
    fn perturb(&self, target: &Target<'_>, originals: Originals<'_>) -> Result<Tensor>;
}
