//! What stands in for the binding to real cards in a build without the feature `cuda`.

use std::rc::Rc;

use candle_core::{CudaDevice, Device};

use super::{Card, CardInfo};
use crate::{Error, Result};

fn absent<T>() -> Result<T> {
    Err(Error::failed(
        "this build has no CUDA; build with --features cuda,cudnn, or use --device cpu",
    ))
}

/// The cards of this machine, by number.
pub fn cards() -> Result<Vec<CardInfo>> {
    absent()
}

/// Opens a card by its number.
pub fn open(_: usize) -> Result<Device> {
    absent()
}

/// The card behind a device.
pub fn card(_: &CudaDevice) -> Result<Rc<dyn Card>> {
    absent()
}
