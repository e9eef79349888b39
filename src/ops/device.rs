//! Where ops run: on the threads of the CPU, or on a card.

use candle_core::{Device, Tensor};

use super::parallel;
use crate::Result;

/// Whether work on this device is put into a queue that one thread fills, as on a card, instead of being done by the threads
/// of [`super::parallel`] before a call returns.
pub fn is_queue(device: &Device) -> bool {
    super::card::is_card(device)
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
    if is_queue(device) {
        body()
    } else {
        parallel::enter(body)
    }
}

/// Defines ops: each asks where its first tensor lies and goes on in `card` or in `cpu`, the two sides that stand beside it,
/// after the checks in braces where there are any.
macro_rules! ops {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($first:ident: &Tensor $(, $arg:ident: $type:ty)* $(,)?) -> $result:ty $({ $($check:expr);* $(;)? })?)*) => {
        $(
            $(#[$meta])*
            $vis fn $name($first: &Tensor $(, $arg: $type)*) -> $result {
                $($($check?;)*)?
                match $crate::ops::card::card_of($first)? {
                    Some(card) => card::$name(&*card, $first $(, $arg)*),
                    None => cpu::$name($first $(, $arg)*),
                }
            }
        )*
    };
}
pub(crate) use ops;
