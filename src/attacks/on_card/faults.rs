//! What the checks of attacks have found on a card. Nobody waits for a check: its findings are added up there until
//! somebody asks.

use std::cell::RefCell;

use candle_core::Tensor;

use super::perturbation::{check, no_faults};
use crate::attacks::Threat;
use crate::ops::cuda::Card;
use crate::{Error, Result};

thread_local! {
    // One thread attacks on one card at a time; where it goes on to another, the first one's findings are read.
    static FAULTS: RefCell<Option<Tensor>> = const { RefCell::new(None) };
}

/// Checks images as [`Threat::check`] does and keeps the findings.
pub fn note(card: &dyn Card, threat: Threat, images: &Tensor, originals: &Tensor) -> Result<()> {
    let held = FAULTS.with_borrow(|held| held.clone());
    let faults = match held {
        Some(faults) if faults.device().same_device(card.device()) => faults,
        other => {
            if other.is_some() {
                settle()?;
            }
            let faults = no_faults(card)?;
            FAULTS.set(Some(faults.clone()));
            faults
        }
    };
    check(card, threat, images, originals, &faults)
}

/// Drops what was found and not asked for.
pub fn forget() {
    FAULTS.set(None);
}

/// Waits for all checks of this thread.
///
/// # Errors
/// An attack left the pixel range or its ball since the last time: a defect, and no result may be counted.
pub fn settle() -> Result<()> {
    let Some(faults) = FAULTS.take() else {
        return Ok(());
    };
    match faults.to_vec1::<u32>()?.as_slice() {
        [0, 0] => Ok(()),
        found => Err(Error::failed(format!(
            "an attack on the card returned images outside the pixel range [0, 1] and images outside their ball: \
             {found:?} of them; this is a defect of the program, report it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::Norm;
    use crate::ops::cuda::host::host;
    use candle_core::Device;

    #[test]
    fn a_fault_is_found_once_somebody_asks() {
        let Some(card) = host() else { return };
        let threat = Threat {
            norm: Norm::Linf,
            epsilon: 0.1,
        };
        let images = |v: f32| Tensor::full(v, (2, 1, 2, 2), &Device::Cpu).unwrap();
        note(card, threat, &images(0.55), &images(0.5)).unwrap();
        settle().unwrap();
        note(card, threat, &images(0.7), &images(0.5)).unwrap();
        note(card, threat, &images(0.55), &images(0.5)).unwrap();
        let message = settle().unwrap_err().to_string();
        assert!(message.contains("[0, 2] of them"), "{message}");
        settle().unwrap();
        note(card, threat, &images(0.7), &images(0.5)).unwrap();
        forget();
        settle().unwrap();
    }
}
