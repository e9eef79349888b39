//! Copies of lower intensity, SI-NI-FGSM (Lin et al., arXiv 1908.06281).

use candle_core::Tensor;

use super::{Change, Moment, Transform};
use crate::Result;
use crate::spec::range::Count;
use crate::spec::section;

section! {
    /// Copies of each image, the one of number `i` divided by `2^i`.
    ScaleInvariant {
        /// How many, m in the paper; default 5.
        copies: usize [as Count, or 5],
    }
}

impl ScaleInvariant {
    pub(super) const ABOUT: [&str; 2] = [
        "copies of each image, the i-th divided by 2^i",
        "Lin et al., 2020, arXiv 1908.06281",
    ];
}

/// Images times this.
struct Scaled(f64);

impl Transform for ScaleInvariant {
    fn copies(&self) -> usize {
        self.copies
    }

    fn change(&self, _images: &Tensor, moment: &Moment<'_>) -> Result<Box<dyn Change>> {
        Ok(Box::new(Scaled(0.5f64.powi(moment.copy as i32))))
    }
}

impl Change for Scaled {
    fn apply(&self, images: &Tensor) -> Result<Tensor> {
        Ok((images * self.0)?)
    }

    fn pull_back(&self, gradient: Tensor) -> Result<Tensor> {
        Ok((gradient * self.0)?)
    }
}
