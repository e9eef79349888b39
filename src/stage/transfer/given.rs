//! Adversarial images of a transfer that were made elsewhere.

use std::sync::Arc;

use candle_core::Tensor;

use super::super::examples::Examples;
use crate::attacks::{Distance, Fate, Norm, Threat};
use crate::data::{Dataset, ImagesRef, read_adversarial_folder};
use crate::experiment::TransferTask;
use crate::stage::assemble;
use crate::stage::context::StageContext;
use crate::{Error, Result};

/// Half a level of an 8-bit file: as far as rounding moves a pixel.
const ROUNDING: f64 = 0.5 / 255.0;

/// Images in the place of the test images, which they were made of.
pub(super) struct Given {
    /// `(N, C, H, W)` in [0, 1]: the originals where there are none.
    pub images: Tensor,
    /// Which ones there are.
    pub is_there: Vec<bool>,
}

impl Given {
    /// Reads the images that were made of `examples`, those of `dataset`.
    ///
    /// # Errors
    /// Files that cannot be read, or that hold something else.
    pub fn read(
        ctx: &StageContext<'_>,
        task: &TransferTask,
        (name, images): (&str, &ImagesRef),
        dataset: &Dataset,
        examples: &Examples,
    ) -> Result<Self> {
        let path = assemble::images_path(ctx, images)?;
        let count = examples.labels.len();
        let (found, positions) = match path.is_dir() {
            true => read_adversarial_folder(&path, dataset)?,
            false => (
                assemble::made_before(&task.data, &path)?,
                (0..count).collect(),
            ),
        };
        if positions.len() < count {
            ctx.progress.line(&format!(
                "{name}: {} of {count} images; the others are not attacked",
                positions.len()
            ));
        }
        let labels = positions.iter().map(|&i| examples.labels[i]);
        if found.shape != dataset.shape || !labels.eq(found.labels.iter().copied()) {
            return Err(Error::failed(format!(
                "{}: {} images of shape {:?}, not of the {count} test images of shape {:?} with their labels in their order",
                path.display(),
                found.len(),
                found.shape,
                dataset.shape,
            )));
        }
        let found = Examples::load(Arc::new(found), task.data.eval_batch_size)?;
        let (mut is_there, mut places) = (vec![false; count], Vec::new());
        places.extend(0..count as u32);
        for (number, position) in (count as u32..).zip(positions) {
            is_there[position] = true;
            places[position] = number;
        }
        let places = Tensor::from_vec(places, count, examples.images.device())?;
        let both = Tensor::cat(&[&examples.images, &found.images], 0)?;
        Ok(Self {
            images: both.index_select(&places, 0)?,
            is_there,
        })
    }

    /// Warns of images that are farther from their originals than the attacks of the stage may go.
    pub fn compare(&self, name: &str, originals: &Tensor, threat: Threat) -> Result<()> {
        let distances = Threat::distances(&self.images, originals)?;
        let values = originals.elem_count() / distances.len().max(1);
        let (slack, of): (f64, fn(&Distance) -> f64) = match threat.norm {
            Norm::L2 => (ROUNDING * (values as f64).sqrt(), |distance| distance.l2),
            Norm::Linf => (ROUNDING, |distance| distance.linf),
            // Units of the reference: how far a pixel may go differs from channel to channel.
            Norm::ChannelLinf(_) => return Ok(()),
        };
        let sizes = distances.iter().map(of);
        let far = sizes.clone().filter(|size| *size > threat.epsilon + slack);
        let (count, most) = (far.count(), sizes.fold(0.0, f64::max));
        if count > 0 {
            tracing::warn!(
                "transfer.adversarial.{name}: {count} of {} images are farther from their originals than attack.epsilon = {}, \
                 the farthest {most:.4}: beside images of that epsilon they tell nothing",
                distances.len(),
                threat.epsilon,
            );
        }
        Ok(())
    }

    /// What became of the images: those that are at stake were attacked where there are any.
    pub fn fates(&self, at_stake: impl Fn(usize) -> bool) -> Vec<Fate> {
        let fate = |(i, is_there): (usize, &bool)| Fate {
            attacked: *is_there && at_stake(i),
            wanted: None,
            prediction: 0,
            loss: 0.0,
            confidence: 0.0,
            broken_by: None,
            steps: None,
        };
        self.is_there.iter().enumerate().map(fate).collect()
    }
}
