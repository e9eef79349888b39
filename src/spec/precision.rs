//! `precision`: how exactly a card computes.

use super::choice::choices;
use crate::ops::precision::Precision;

choices! {
    /// How exactly a card computes; the CPU computes in float32 whatever is said.
    PrecisionChoice {
        /// float32 throughout.
        F32 = "f32",
        /// Products of float32 numbers with ten bits of fraction.
        Tf32 = "tf32",
        /// bfloat16 activations, float32 weights and sums.
        Bf16 = "bf16",
    }
}

impl PrecisionChoice {
    /// The arithmetic of that name.
    pub fn arithmetic(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Tf32 => Precision::Tf32,
            Self::Bf16 => Precision::Bf16,
        }
    }
}
