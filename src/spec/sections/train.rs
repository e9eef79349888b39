//! `[train]`: how long a model learns.

use crate::spec::range::Count;
use crate::spec::section::section;

section! {
    /// How long a model learns.
    TrainSpec {
        /// Passes over the training set; required.
        epochs: usize [required as Count] smoke 1,
    }
}
