//! Variance tuning, VMI-FGSM and VNI-FGSM (Wang and He, arXiv 2103.15571).

use candle_core::Tensor;

use super::{Accumulate, Accumulation, Directions, Landscape, Pace};
use crate::Result;
use crate::spec::range::{Count, NonNegative};
use crate::spec::section;

section! {
    /// As `accumulated`, with `g + v` in place of the gradient `g`: `v` is the mean gradient at points around the step before less
    /// the gradient of that step.
    Variance {
        /// The points around each step at which gradients are taken, N in the paper; default 20.
        samples: usize [as Count, or 20],
        /// How far they lie from it at most in each pixel, in units of epsilon, beta in the paper; default 1.5.
        radius: f64 [as NonNegative, or 1.5],
        /// Whether `g` is taken where the accumulated gradient leads, as `nesterov` has it; default false.
        nesterov: bool [or false],
    }
}

impl Variance {
    pub(super) const ABOUT: [&str; 2] = [
        "as `accumulated`, each gradient corrected by those at random points around the step before",
        "Wang and He, 2021, arXiv 2103.15571",
    ];
}

struct Tuned {
    settings: Variance,
    pace: Pace,
    sum: Accumulation,
    variance: Option<Tensor>,
}

impl Accumulate for Variance {
    fn is_random(&self) -> bool {
        true
    }

    fn directions(&self, pace: Pace) -> Box<dyn Directions> {
        Box::new(Tuned {
            settings: self.clone(),
            pace,
            sum: Accumulation::default(),
            variance: None,
        })
    }
}

impl Directions for Tuned {
    fn next(&mut self, x: &Tensor, landscape: &Landscape<'_>) -> Result<Tensor> {
        let Pace {
            step_size,
            epsilon,
            decay,
        } = self.pace;
        let Variance {
            samples,
            radius,
            nesterov,
        } = self.settings;
        let gradient = match nesterov {
            true => (landscape.gradient)(&(x + self.sum.ahead(x, step_size * decay)?)?)?,
            false => (landscape.gradient)(x)?,
        };
        let direction = match &self.variance {
            Some(variance) => self.sum.add(&(&gradient + variance)?, decay)?,
            None => self.sum.add(&gradient, decay)?,
        };
        let mut around = gradient.zeros_like()?;
        for _ in 0..samples {
            let noise = landscape.draws.next().uniform(x, radius * epsilon)?;
            around = (around + (landscape.gradient)(&(x + noise)?)?)?;
        }
        self.variance = Some(((around / samples as f64)? - gradient)?);
        Ok(direction)
    }
}
