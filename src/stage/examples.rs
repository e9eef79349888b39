//! The images of a split in memory, as attacks take them.

use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;
use crate::attacks::sanity::{self, Warning};
use crate::attacks::{Originals, Start, Victim};
use crate::data::{Dataset, DeviceDataset, Loader};
use crate::run::interrupt;

/// All examples of a data set.
pub(super) struct Examples {
    /// `(N, C, H, W)` in [0, 1].
    pub images: Tensor,
    pub labels: Vec<u32>,
    /// Positions in the data set.
    pub indices: Vec<usize>,
    /// How many classes the data set has.
    pub classes: usize,
}

impl Examples {
    /// Reads all of them, `batch_size` at once.
    pub fn load(dataset: Arc<Dataset>, batch_size: usize) -> Result<Self> {
        let classes = dataset.classes.len();
        let (mut images, mut labels, mut indices) = (Vec::new(), Vec::new(), Vec::new());
        for batch in Loader::eval(&DeviceDataset::on_cpu(dataset), batch_size)? {
            interrupt::check()?;
            let batch = batch?;
            images.push(batch.images);
            labels.extend(batch.label_values);
            indices.extend(batch.indices);
        }
        Ok(Self {
            images: Tensor::cat(&images, 0)?,
            labels,
            indices,
            classes,
        })
    }

    /// What an attack starts from.
    pub fn originals(&self, start: Start) -> Originals<'_> {
        Originals::new(&self.images, &self.labels, &self.indices, start)
    }

    /// Looks for signs that attacks on the victim mean little, on the first batch.
    pub fn examine(
        &self,
        victim: &Victim<'_>,
        start: Start,
        batch_size: usize,
    ) -> Result<Vec<Warning>> {
        let count = batch_size.min(self.labels.len());
        let images = self.images.narrow(0, 0, count)?;
        let originals = Originals::new(
            &images,
            &self.labels[..count],
            &self.indices[..count],
            start,
        );
        sanity::examine(victim, originals)
    }
}
