//! Batches of a data set, prepared one step ahead in a background thread.

use super::{Augmentation, Dataset, DeviceDataset, Pixels, augment};
use crate::ops::augment::{Window, crop_flip, crop_flip_image};
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
    /// The class of each example.
    pub label_values: Vec<u32>,
    /// The position of each example in the data set.
    pub indices: Vec<usize>,
}

/// A batch on the host, as the background thread hands it over.
struct Prepared {
    images: Images,
    labels: Vec<u32>,
    indices: Vec<usize>,
}

/// The images of a batch: their pixels, or how the device takes them out of the set that lies there.
enum Images {
    Pixels(Vec<f32>),
    Windows(Vec<Window>),
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
    /// index: an epoch taken up at `first_batch` goes on as if it had never been left.
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
            Images::Windows(windows) => {
                let pixels = self.placed.pixels.as_ref().ok_or_else(|| {
                    Error::failed("windows of a data set that does not lie on the device")
                })?;
                crop_flip(pixels, windows, self.placed.dataset.shape, self.padding)?
            }
        };
        Ok(Batch {
            images,
            label_values: prepared.labels,
            indices: prepared.indices,
        })
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.batches {
            return None;
        }
        let Some(Ok(prepared)) = self.receiver.as_ref().map(Receiver::recv) else {
            self.next = self.batches;
            return Some(Err(Error::failed(
                "the data loader's thread ended before the epoch did; this is a defect of the program, report it",
            )));
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
        for indices in self.order.chunks(self.batch_size).skip(first_batch) {
            let prepared = self.prepare(indices, &mut scratch);
            let is_last = prepared.is_err();
            if sender.send(prepared).is_err() || is_last {
                return;
            }
        }
    }

    fn prepare(&self, indices: &[usize], scratch: &mut Vec<f32>) -> Result<Prepared> {
        let windows = indices.iter().map(|&index| {
            let mut rng = stream(self.seed, Purpose::Augment, self.epoch, 0, index as u64);
            augment::draw(&self.augment, index, &mut rng)
        });
        let images = if self.pixels {
            let size = self.dataset.image_len();
            let mut pixels = vec![0.0; indices.len() * size];
            let fill = |scratch: &mut Vec<f32>, image: &mut [f32], window: Window| {
                self.dataset.image_f32(window.index, image)?;
                crop_flip_image(image, self.dataset.shape, window, self.padding, scratch);
                Ok(())
            };
            if matches!(self.dataset.pixels, Pixels::Files(_)) {
                // Decoding takes long: all threads share it. The first fault in the batch is the one reported.
                let windows: Vec<Window> = windows.collect();
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
            Images::Pixels(pixels)
        } else {
            Images::Windows(windows.collect())
        };
        Ok(Prepared {
            images,
            labels: indices
                .iter()
                .map(|&index| self.dataset.labels[index])
                .collect(),
            indices: indices.to_vec(),
        })
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
