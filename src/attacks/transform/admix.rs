//! Images with a little of others in them: Admix (Wang et al., arXiv 2102.00436).

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Change, Moment, Transform};
use crate::ops::device::bring;
use crate::ops::rows::select;
use crate::spec::range::{Count, NonNegative};
use crate::spec::section;
use crate::{Error, Result};

section! {
    /// Copies of each image, to each of which a share of another image is added, of another class and without perturbation. The
    /// paper takes copies of several scales of each as well: that is `scale-invariant` after it.
    Admix {
        /// How many, m2 in the paper; default 3.
        copies: usize [as Count, or 3],
        /// The share of the other image, eta in the paper; default 0.2.
        share: f64 [as NonNegative, or 0.2],
    }
}

impl Admix {
    pub(super) const ABOUT: [&str; 2] = [
        "copies of each image, with a share of an image of another class added to each",
        "Wang et al., 2021, arXiv 2102.00436",
    ];

    /// The place among `labels` of the image that is added to one of class `label`.
    ///
    /// # Errors
    /// No image of another class.
    pub fn draw(label: u32, labels: &[u32], rng: &mut ChaCha8Rng) -> Result<usize> {
        let others = labels.iter().filter(|&&other| other != label).count() as u64;
        if others == 0 {
            return Err(Error::spec(format!(
                "attack.transform: \"admix\" adds images of other classes, and all that are attacked are of class {label}: raise \
                 data.test_limit"
            )));
        }
        let chosen = rng.random_range(0..others) as usize;
        let places = labels
            .iter()
            .enumerate()
            .filter(|(_, other)| **other != label);
        let mut places = places.map(|(place, _)| place).skip(chosen);
        places
            .next()
            .ok_or_else(|| Error::failed("an image was counted that is not there"))
    }
}

/// What is added to the images.
struct Added(Tensor);

impl Transform for Admix {
    fn copies(&self) -> usize {
        self.copies
    }

    fn is_random(&self) -> bool {
        true
    }

    fn change(&self, images: &Tensor, moment: &Moment<'_>) -> Result<Box<dyn Change>> {
        let originals = moment.shared.originals();
        let (pool, pool_labels) = originals.pool;
        let labels = originals.labels.iter().enumerate();
        // One after another for the copies of an image, the same in all scales of each.
        let places = labels.map(|(row, &label)| {
            let mut rng = moment.shared.rng(row);
            for _ in 0..moment.copy {
                Self::draw(label, pool_labels, &mut rng)?;
            }
            Self::draw(label, pool_labels, &mut rng)
        });
        let pool = bring(pool, &Device::Cpu)?;
        let others = select(&pool, &places.collect::<Result<Vec<_>>>()?)?;
        let others = bring(&others.to_dtype(images.dtype())?, images.device())?;
        Ok(Box::new(Added((others * self.share)?)))
    }
}

impl Change for Added {
    fn apply(&self, images: &Tensor) -> Result<Tensor> {
        Ok((images + &self.0)?)
    }

    fn pull_back(&self, gradient: Tensor) -> Result<Tensor> {
        Ok(gradient)
    }
}
