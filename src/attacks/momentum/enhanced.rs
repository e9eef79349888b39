//! Enhanced momentum, EMI-FGSM (Wang et al., arXiv 2103.10609).

use candle_core::Tensor;

use super::{Accumulate, Accumulation, Directions, Landscape, Pace};
use crate::Result;
use crate::spec::range::{Count, NonNegative};
use crate::spec::section;

section! {
    /// As `accumulated`, with the mean gradient over points on the line along the mean gradient of the step before.
    Enhanced {
        /// The points, evenly spaced; default 11.
        samples: usize [as Count, or 11],
        /// How far the outermost are from `x`, in steps; default 7.
        radius: f64 [as NonNegative, or 7.0],
    }
}

impl Enhanced {
    pub(super) const ABOUT: [&str; 2] = [
        "as `accumulated`, of mean gradients over points along that of the step before",
        "Wang et al., 2021, arXiv 2103.10609",
    ];

    /// Where the points lie, in units of the radius.
    fn places(&self) -> impl Iterator<Item = f64> + use<> {
        let last = self.samples - 1;
        (0..=last).map(move |place| match last {
            0 => -1.0,
            last => 2.0 * place as f64 / last as f64 - 1.0,
        })
    }
}

struct OnLine {
    settings: Enhanced,
    pace: Pace,
    sum: Accumulation,
    /// The mean gradient of the step before.
    before: Accumulation,
    is_first: bool,
}

impl Accumulate for Enhanced {
    fn directions(&self, pace: Pace) -> Box<dyn Directions> {
        Box::new(OnLine {
            settings: self.clone(),
            pace,
            sum: Accumulation::default(),
            before: Accumulation::default(),
            is_first: true,
        })
    }
}

impl Directions for OnLine {
    fn next(&mut self, x: &Tensor, landscape: &Landscape<'_>) -> Result<Tensor> {
        let line = self
            .before
            .ahead(x, self.settings.radius * self.pace.step_size)?;
        let mut mean = x.zeros_like()?;
        // Before the first step there is no line: all points are one.
        let samples = if self.is_first {
            1
        } else {
            self.settings.samples
        };
        for place in self.settings.places().take(samples) {
            mean = (mean + (landscape.gradient)(&(x + (&line * place)?)?)?)?;
        }
        let mean = (mean / samples as f64)?;
        self.is_first = false;
        self.before.add(&mean, 0.0)?;
        self.sum.add(&mean, self.pace.decay)
    }
}
