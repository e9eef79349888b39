//! What becomes of the gradients that an attack of steps meets, one file each: the direction of each step.

use candle_core::Tensor;

use super::draws::Draws;
use crate::Result;
use crate::ops::perturbation::{add_normalised, image_len};

mod accumulated;
mod enhanced;
mod nesterov;
mod variance;

crate::spec::tagged! {
    /// The kinds of momentum.
    MomentumKind;
    /// A kind of momentum with its settings.
    Momentum: Accumulate;
    accumulated::Accumulated = "accumulated",
    nesterov::Nesterov = "nesterov",
    variance::Variance = "variance",
    enhanced::Enhanced = "enhanced",
}

pub use accumulated::Accumulated;
pub use enhanced::Enhanced;
pub use nesterov::Nesterov;
pub use variance::Variance;

impl MomentumKind {
    /// What it does, in a line, and where it was published.
    pub fn about(self) -> [&'static str; 2] {
        match self {
            Self::Accumulated => Accumulated::ABOUT,
            Self::Nesterov => Nesterov::ABOUT,
            Self::Variance => Variance::ABOUT,
            Self::Enhanced => Enhanced::ABOUT,
        }
    }
}

/// The gradient at a point.
pub(super) type GradientAt<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

/// What a step can ask for.
pub struct Landscape<'a> {
    /// The gradient at a point, through the input transformations that there are.
    pub gradient: &'a GradientAt<'a>,
    /// Where random numbers come from.
    pub draws: &'a Draws<'a>,
}

/// The settings of an attack's steps that its direction depends on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub step_size: f64,
    /// The radius of the ball.
    pub epsilon: f64,
    /// The share of what was accumulated that a step keeps.
    pub decay: f64,
}

/// A way to make directions of gradients.
pub trait Accumulate {
    /// Whether every gradient is taken at the point where the step starts.
    fn looks_where_it_is(&self) -> bool {
        false
    }

    /// Whether it draws random numbers, others in each try.
    fn is_random(&self) -> bool {
        false
    }

    /// The directions of an attack that begins.
    fn directions(&self, pace: Pace) -> Box<dyn Directions>;
}

/// The directions of an attack's steps, one after another.
pub trait Directions {
    /// That of the step from `x`, in its shape.
    fn next(&mut self, x: &Tensor, landscape: &Landscape<'_>) -> Result<Tensor>;
}

/// Steps along the gradient itself.
pub(super) struct Plain;

impl Directions for Plain {
    fn next(&mut self, x: &Tensor, landscape: &Landscape<'_>) -> Result<Tensor> {
        (landscape.gradient)(x)
    }
}

/// Gradients accumulated over the steps, each divided by the sum of its absolute values, per image.
#[derive(Default)]
struct Accumulation(Option<Tensor>);

impl Accumulation {
    /// What there is, zeros like `x` before the first step.
    fn tensor(&mut self, x: &Tensor) -> Result<&Tensor> {
        Ok(match &mut self.0 {
            Some(sum) => sum,
            none => none.insert(x.zeros_like()?),
        })
    }

    /// The accumulation times `length`, in units of the mean absolute value of a gradient instead of their sum: as the
    /// implementations of attacks that look ahead have it, so that a length is that of about one step.
    fn ahead(&mut self, x: &Tensor, length: f64) -> Result<Tensor> {
        let values = image_len(x)? as f64;
        Ok((self.tensor(x)? * (length * values))?)
    }

    /// Keeps `decay` of it, adds a gradient, and gives what is there now.
    fn add(&mut self, gradient: &Tensor, decay: f64) -> Result<Tensor> {
        let sum = self.tensor(gradient)?;
        add_normalised(sum, gradient, decay)?;
        Ok(sum.clone())
    }
}
