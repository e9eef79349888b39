//! Where ops run: on the threads of the CPU, or on a card.

use candle_core::{Device, Tensor};

use super::parallel;
use crate::Result;

/// Whether the ops on this device's tensors run on a card, where one thread fills a queue, instead of on the threads of
/// [`super::parallel`].
pub fn runs_on_card(device: &Device) -> bool {
    #[cfg(test)]
    if super::cuda::on_host() {
        return true;
    }
    device.is_cuda()
}

/// A tensor where ops are to run. A part of a tensor is brought alone, without the rest of its storage.
pub fn bring(tensor: &Tensor, device: &Device) -> Result<Tensor> {
    if tensor.device().same_device(device) {
        return Ok(tensor.clone());
    }
    Ok(tensor.force_contiguous()?.to_device(device)?)
}

/// As [`parallel::enter`] where the CPU computes; on a card the calling thread fills the queue itself.
pub fn enter_for<R: Send>(device: &Device, body: impl FnOnce() -> R + Send) -> R {
    if runs_on_card(device) {
        body()
    } else {
        parallel::enter(body)
    }
}

/// Leaves the function with the result of the second expression where a tensor lies on a card; the card has the name
/// that is given. Without the feature `cuda` there are no cards.
macro_rules! on_card {
    ($tensor:expr, $card:ident => $body:expr) => {
        #[cfg(any(feature = "cuda", test))]
        if let Some($card) = $crate::ops::cuda::card_of($tensor)? {
            let $card = &*$card;
            return $body;
        }
    };
}
pub(crate) use on_card;
