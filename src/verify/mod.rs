//! Claims: figures that a file states, held against what runs of this program measure.

mod check;
mod claim;
mod claims;
mod table;
mod verdict;

pub use check::{Checked, check};
pub use claim::ClaimSpec;
pub use claims::{Claim, read_claims};
pub use table::table;
pub use verdict::Verdict;

use crate::spec::Key;

/// The keys of a claim.
pub const KEYS: &[Key] = <claim::ClaimSpec as crate::spec::Section>::KEYS;
