//! Batches of a data set, prepared one step ahead in a background thread.

use super::augment::{self, Drawn, Phase};
use super::{Augmentation, Dataset, DeviceDataset, Extra, Mixed, Pixels};
use crate::ops::augment::{
    Blend, Overlay, Window, crop_flip, crop_flip_image, overlay, overlay_images,
};
use crate::rng::{Purpose, stream};
use crate::{Error, Result};
use candle_core::Tensor;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Batches that lie ready while the model works on the one before.
const PREFETCHED: usize = 2;

/// A batch on its device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// f32 (N, C, H, W), intensities in [0, 1].
    pub images: Tensor,
    /// The class of each example; of one that was mixed with another, the class that has the larger share.
    pub label_values: Vec<u32>,
    /// The position of each example in the data set; extra images are counted on from its end.
    pub indices: Vec<usize>,
    /// The other class of each example, where images were mixed in pairs.
    pub mixed: Option<Mixed>,
}

/// A batch on the host, as the background thread hands it over.
struct Prepared {
    images: Images,
    labels: Vec<u32>,
    indices: Vec<usize>,
    mixed: Option<Mixed>,
}

/// The images of a batch: their pixels, or how the device takes them out of the set that lies there.
enum Images {
    Pixels(Vec<f32>),
    Windows(Vec<Window>, Option<Vec<Overlay>>),
}

/// Deals out one pass over a data set; the last batch may be smaller.
///
/// Dropping a loader ends its thread.
pub struct Loader {
    receiver: Option<Receiver<Result<Prepared>>>,
    producer: Option<JoinHandle<()>>,
    placed: DeviceDataset,
    padding: usize,
    next: usize,
    batches: usize,
}

impl Loader {
    /// The batches of a training epoch from number `first_batch` (from 0) on.
    ///
    /// The order is a function of `seed` and `epoch`, the augmentation of an example one of `seed`, `epoch` and its
    /// index: an epoch taken up at `first_batch` goes on as if it had never been left. With extra images an epoch has as many
    /// examples as without, and the set's own come in its order until they have their share.
    pub fn train(
        placed: &DeviceDataset,
        batch_size: usize,
        augmentations: &[Augmentation],
        seed: u64,
        epoch: u64,
        first_batch: usize,
    ) -> Result<Self> {
        let order = shuffled(placed.dataset.len(), seed, epoch);
        let recipe = Recipe {
            dataset: Arc::clone(&placed.dataset),
            pixels: placed.pixels.is_none(),
            extra: placed.extra.clone(),
            order,
            batch_size,
            padding: augment::padding(augmentations)?,
            augment: augmentations.to_vec(),
            seed,
            epoch,
        };
        Self::start(recipe, first_batch, placed)
    }

    /// The batches of an evaluation: every example once, in the set's own order, unchanged.
    pub fn eval(placed: &DeviceDataset, batch_size: usize) -> Result<Self> {
        let order = (0..placed.dataset.len()).collect();
        let recipe = Recipe {
            dataset: Arc::clone(&placed.dataset),
            pixels: placed.pixels.is_none(),
            extra: None,
            order,
            batch_size,
            augment: Vec::new(),
            padding: 0,
            seed: 0,
            epoch: 0,
        };
        Self::start(recipe, 0, placed)
    }

    /// The number of batches of the whole pass, those before `first_batch` included.
    pub fn batches(&self) -> usize {
        self.batches
    }

    fn start(recipe: Recipe, first_batch: usize, placed: &DeviceDataset) -> Result<Self> {
        if recipe.batch_size == 0 {
            return Err(Error::spec(
                "data.batch_size: a batch of 0 examples; give 1 or more",
            ));
        }
        let padding = recipe.padding;
        let batches = recipe.dataset.len().div_ceil(recipe.batch_size);
        if first_batch > batches {
            return Err(Error::failed(format!(
                "cannot go on at batch {first_batch} of an epoch of {batches}: the checkpoint was written with other \
                 data or another batch size; restore those or start afresh",
            )));
        }
        let (sender, receiver) = sync_channel(PREFETCHED);
        let producer = thread::Builder::new()
            .name("loader".into())
            .spawn(move || recipe.produce(first_batch, &sender))
            .map_err(|error| {
                Error::failed(format!("cannot start the data loader's thread: {error}"))
            })?;
        Ok(Self {
            receiver: Some(receiver),
            producer: Some(producer),
            placed: placed.clone(),
            padding,
            next: first_batch,
            batches,
        })
    }

    fn upload(&self, prepared: Prepared) -> Result<Batch> {
        // Tensors are made on the caller's thread, where the device's context is current.
        let images = match &prepared.images {
            Images::Pixels(pixels) => {
                let [channels, height, width] = self.placed.dataset.shape;
                let shape = (prepared.labels.len(), channels, height, width);
                Tensor::from_slice(pixels, shape, &self.placed.device)?
            }
            Images::Windows(windows, overlays) => {
                let pixels = self.placed.pixels.as_ref().ok_or_else(|| {
                    Error::failed("windows of a data set that does not lie on the device")
                })?;
                let images = crop_flip(pixels, windows, self.placed.dataset.shape, self.padding)?;
                match overlays {
                    Some(overlays) => overlay(&images, overlays)?,
                    None => images,
                }
            }
        };
        Ok(Batch {
            images,
            label_values: prepared.labels,
            indices: prepared.indices,
            mixed: prepared.mixed,
        })
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.batches {
            return None;
        }
        let prepared = match self.receiver.as_ref().map(Receiver::recv) {
            Some(Ok(prepared)) => prepared,
            _ => Err(Error::failed(
                "the data loader's thread ended before the epoch did; this is a defect of the program, report it",
            )),
        };
        self.next += 1;
        let batch = prepared.and_then(|prepared| self.upload(prepared));
        if batch.is_err() {
            self.next = self.batches;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batches - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Loader {}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without a receiver the thread's next send fails, and it returns.
        drop(self.receiver.take());
        if let Some(producer) = self.producer.take() {
            // A panic there has been reported by `next` already.
            let _ = producer.join();
        }
    }
}

/// All that decides the content of every batch of an epoch.
struct Recipe {
    dataset: Arc<Dataset>,
    /// Whether pixels are wanted, or windows of a set that lies where the batches go.
    pixels: bool,
    extra: Option<Arc<Extra>>,
    order: Vec<usize>,
    batch_size: usize,
    augment: Vec<Augmentation>,
    padding: usize,
    seed: u64,
    epoch: u64,
}

impl Recipe {
    fn produce(&self, first_batch: usize, sender: &SyncSender<Result<Prepared>>) {
        let mut scratch = Vec::new();
        for number in first_batch..self.order.len().div_ceil(self.batch_size) {
            let prepared = self.prepare(number, &mut scratch);
            let failed = prepared.is_err();
            if sender.send(prepared).is_err() || failed {
                return;
            }
        }
    }

    /// The examples of a batch, by number: positions in the set, and extra images counted on from its end.
    fn indices(&self, number: usize) -> Vec<usize> {
        let all = self.order.len();
        let size = self.batch_size.min(all - number * self.batch_size);
        let share = |size| self.extra.as_ref().map_or(0, |extra| extra.of_batch(size));
        let first = number * (self.batch_size - share(self.batch_size));
        let mut indices = self.order[first..first + size - share(size)].to_vec();
        if let Some(extra) = &self.extra {
            let drawn = extra.draw(size, self.seed, self.epoch, number as u64);
            indices.extend(drawn.into_iter().map(|index| all + index));
        }
        indices
    }

    /// The extra image that an index stands for, and its number.
    fn extra(&self, index: usize) -> Option<(&Extra, usize)> {
        let number = index.checked_sub(self.dataset.len())?;
        Some((self.extra.as_deref()?, number))
    }

    fn prepare(&self, number: usize, scratch: &mut Vec<f32>) -> Result<Prepared> {
        let indices = self.indices(number);
        let shape = self.dataset.shape;
        let drawn = indices.iter().map(|&index| {
            let mut rng = stream(self.seed, Purpose::Augment, self.epoch, 0, index as u64);
            Drawn::new(&self.augment, index, shape, &mut rng)
        });
        let (windows, overlays) = self.overlays(number, drawn.collect());
        let labels = indices.iter().map(|&index| match self.extra(index) {
            Some((extra, number)) => extra.label(number),
            None => Ok(self.dataset.labels[index]),
        });
        let mut labels: Vec<u32> = labels.collect::<Result<_>>()?;
        let mixed = match self.augment.iter().any(|one| one.mixes()) {
            true => Some(Mixed::of(&mut labels, overlays.iter().flatten(), shape)),
            false => None,
        };
        let images = if self.pixels {
            let size = self.dataset.image_len();
            let mut pixels = vec![0.0; indices.len() * size];
            let fill = |scratch: &mut Vec<f32>, image: &mut [f32], window: Window| {
                match self.extra(window.index) {
                    Some((extra, number)) => extra.image_f32(number, image)?,
                    None => self.dataset.image_f32(window.index, image)?,
                }
                crop_flip_image(image, shape, window, self.padding, scratch);
                Ok(())
            };
            if matches!(self.dataset.pixels, Pixels::Files(_)) {
                // Decoding takes long: all threads share it. The first fault in the batch is the one reported.
                let images = pixels.par_chunks_exact_mut(size).zip(windows);
                let faults = images.map_init(Vec::new, |scratch, (image, window)| {
                    fill(scratch, image, window).err()
                });
                if let Some(Some(fault)) = faults.find_first(Option::is_some) {
                    return Err(fault);
                }
            } else {
                for (image, window) in pixels.chunks_exact_mut(size).zip(windows) {
                    fill(scratch, image, window)?;
                }
            }
            overlay_images(&mut pixels, shape, overlays.as_deref().unwrap_or_default());
            Images::Pixels(pixels)
        } else {
            Images::Windows(windows, overlays)
        };
        Ok(Prepared {
            images,
            labels,
            indices,
            mixed,
        })
    }

    /// What was drawn for the images of a batch, by number, in two steps: windows, and what is laid over them where the list
    /// does such a thing. Images that are mixed have as partners those of a random permutation of the batch.
    fn overlays(&self, number: usize, drawn: Vec<Drawn>) -> (Vec<Window>, Option<Vec<Overlay>>) {
        let windows = drawn.iter().map(|drawn| drawn.window).collect();
        if self.augment.iter().all(|one| one.phase() == Phase::Place) {
            return (windows, None);
        }
        let mut partners: Vec<usize> = (0..drawn.len()).collect();
        partners.shuffle(&mut stream(
            self.seed,
            Purpose::Mix,
            self.epoch,
            number as u64,
            0,
        ));
        let overlays = drawn
            .into_iter()
            .zip(partners)
            .map(|(drawn, partner)| Overlay {
                holes: drawn.holes,
                blend: drawn.mixing.map(|(area, own)| Blend { partner, area, own }),
            });
        (windows, Some(overlays.collect()))
    }
}

fn shuffled(len: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut stream(seed, Purpose::Shuffle, epoch, 0, 0));
    order
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
