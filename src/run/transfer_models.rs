//! `transfer_models.csv`: which files the models of a transfer are.

use serde::{Deserialize, Serialize};

/// A file that a model of a transfer is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferModelRow {
    /// The model's name.
    pub model: String,
    /// Its architecture.
    pub arch: String,
    /// What the file holds: `network` or `weights`.
    pub what: String,
    /// The file, or the stage that left it, as the spec names them.
    pub file: String,
    /// The BLAKE3 hash of its content.
    pub blake3: String,
}
