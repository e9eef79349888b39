//! How exactly a card computes. The CPU always computes in the type of its tensors.

use std::cell::Cell;

use candle_core::DType;

use crate::choice::choices;

choices! {
    /// The arithmetic of products and convolutions on a card, and the type of the activations between them.
    Precision {
        /// float32 throughout.
        F32 = "f32",
        /// float32, whose factors lose their last 13 bits on their way into a product (10 bits of fraction stay).
        Tf32 = "tf32",
        /// Activations and their gradients are bfloat16, sums float32; weights, statistics and losses stay float32.
        Bf16 = "bf16",
    }
}

impl Precision {
    /// The type of activations.
    pub fn activations(self) -> DType {
        match self {
            Self::F32 | Self::Tf32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

thread_local! {
    // One thread runs a stage from its first op to its last, and two stages may differ.
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::Tf32) };
}

/// The precision of the stage that this thread runs.
pub fn current() -> Precision {
    CURRENT.get()
}

/// Runs `body` with a precision, on this thread.
pub fn with<R>(precision: Precision, body: impl FnOnce() -> R) -> R {
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(precision));
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_lasts_as_long_as_its_body() {
        let before = current();
        let inside = with(Precision::Bf16, || {
            (current(), with(Precision::F32, current), current())
        });
        assert_eq!(inside, (Precision::Bf16, Precision::F32, Precision::Bf16));
        assert_eq!(current(), before);
        assert!(std::panic::catch_unwind(|| with(Precision::Bf16, || panic!("inside"))).is_err());
        assert_eq!(current(), before);
    }
}
