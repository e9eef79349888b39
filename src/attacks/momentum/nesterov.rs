//! Nesterov's accelerated gradient in MI-FGSM: NI-FGSM (Lin et al., arXiv 1908.06281).

use candle_core::Tensor;

use super::{Accumulate, Accumulation, Directions, Landscape, Pace};
use crate::Result;
use crate::spec::section;

section! {
    /// As `accumulated`, with the gradient at `x + step_size decay m`. As in the authors' code `m` is there in units of the mean
    /// absolute value of a gradient, so that the point ahead is about a step away; the paper writes their sum, which would
    /// leave it at `x`.
    Nesterov {}
}

impl Nesterov {
    pub(super) const ABOUT: [&str; 2] = [
        "as `accumulated`, the gradient taken where the accumulated one leads",
        "Lin et al., 2020, arXiv 1908.06281",
    ];
}

struct Ahead {
    pace: Pace,
    sum: Accumulation,
}

impl Accumulate for Nesterov {
    fn directions(&self, pace: Pace) -> Box<dyn Directions> {
        let sum = Accumulation::default();
        Box::new(Ahead { pace, sum })
    }
}

impl Directions for Ahead {
    fn next(&mut self, x: &Tensor, landscape: &Landscape<'_>) -> Result<Tensor> {
        let Pace {
            step_size, decay, ..
        } = self.pace;
        let ahead = self.sum.ahead(x, step_size * decay)?;
        self.sum.add(&(landscape.gradient)(&(x + ahead)?)?, decay)
    }
}
