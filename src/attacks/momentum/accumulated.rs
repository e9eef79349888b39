//! The momentum of MI-FGSM (Dong et al., arXiv 1710.06081).

use candle_core::Tensor;

use super::{Accumulate, Accumulation, Directions, Landscape, Pace};
use crate::Result;
use crate::spec::section;

section! {
    /// Steps along `m`, which each step sets to `decay m + g / |g|_1`.
    Accumulated {}
}

impl Accumulated {
    pub(super) const ABOUT: [&str; 2] = [
        "steps along the sum of all gradients so far, of which each step keeps the share `decay`",
        "Dong et al., 2018, arXiv 1710.06081",
    ];
}

struct Along {
    decay: f64,
    sum: Accumulation,
}

impl Accumulate for Accumulated {
    fn looks_where_it_is(&self) -> bool {
        true
    }

    fn directions(&self, Pace { decay, .. }: Pace) -> Box<dyn Directions> {
        let sum = Accumulation::default();
        Box::new(Along { decay, sum })
    }
}

impl Directions for Along {
    fn next(&mut self, x: &Tensor, landscape: &Landscape<'_>) -> Result<Tensor> {
        self.sum.add(&(landscape.gradient)(x)?, self.decay)
    }
}
