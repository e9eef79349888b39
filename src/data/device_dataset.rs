//! A data set and the device that its batches are wanted on: one with memory of its own holds the whole set, once, unless
//! the set itself does not lie in memory.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{Dataset, Extra, Pixels};
use crate::Result;
use crate::ops::device::is_queue;

/// A data set with a device for its batches.
#[derive(Clone, Debug)]
pub struct DeviceDataset {
    pub(super) dataset: Arc<Dataset>,
    pub(super) device: Device,
    /// In the memory of such a device: all pixels `(examples, values of an image)`, u8 or f32 as in the set.
    pub(super) pixels: Option<Tensor>,
    /// Further images, of which training batches have a share.
    pub(super) extra: Option<Arc<Extra>>,
}

impl DeviceDataset {
    /// Takes a data set to a device.
    ///
    /// # Errors
    /// A card without room for it.
    pub fn new(dataset: Arc<Dataset>, device: &Device) -> Result<Self> {
        let shape = (dataset.len(), dataset.image_len());
        let pixels = match &dataset.pixels {
            _ if !is_queue(device) => None,
            Pixels::U8(values) => Some(Tensor::from_slice(values, shape, device)?),
            Pixels::F32(values) => Some(Tensor::from_slice(values, shape, device)?),
            // Too large for memory.
            Pixels::Files(_) => None,
        };
        Ok(Self {
            dataset,
            device: device.clone(),
            pixels,
            extra: None,
        })
    }

    /// A data set whose batches are wanted on the CPU.
    pub fn on_cpu(dataset: Arc<Dataset>) -> Self {
        Self {
            dataset,
            device: Device::Cpu,
            pixels: None,
            extra: None,
        }
    }

    /// A data set whose training batches, wanted on `device`, have a share of further images. Those are read where they lie,
    /// so that batches are put together on the host.
    pub fn with_extra(dataset: Arc<Dataset>, device: &Device, extra: Extra) -> Self {
        Self {
            dataset,
            device: device.clone(),
            pixels: None,
            extra: Some(Arc::new(extra)),
        }
    }

    /// The set itself.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }
}
