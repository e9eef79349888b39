//! Passes in training mode that leave running statistics where they were.

use candle_core::Tensor;

use crate::Result;
use crate::nn::{Network, Param};

/// What `body` returns, with the running statistics of the network as they were before it.
pub(super) fn undisturbed<T>(network: &Network, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = network.buffers().iter().map(Param::snapshot);
    let before: Vec<Tensor> = before.collect::<Result<_>>()?;
    let found = body();
    for (buffer, values) in network.buffers().iter().zip(&before) {
        buffer.set(values)?;
    }
    found
}
