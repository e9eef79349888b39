//! `layer_search.csv`: how well images made with each choice of linear activations carry over.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table;
use crate::error::Result;

/// A choice of linear activations in attacks on a surrogate, and what it came to on validation images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerSearchRow {
    /// The model that images are made on.
    pub surrogate: String,
    /// The attack.
    pub attack: String,
    /// The choice as `linbp.layers` would have it; missing for ordinary backpropagation.
    pub layers: Option<String>,
    /// The position of its first activation, counted from the output; 0 for ordinary backpropagation.
    pub depth: usize,
    /// How many images were attacked.
    pub images: usize,
    /// The share of them that the held-out models have wrong afterwards, their mean; of a surrogate without such models, its own.
    pub success_rate: f64,
    /// The mean cross-entropy of the surrogate's own answers to them.
    pub loss: f64,
    /// Whether the images of the stage are made with this choice.
    pub chosen: bool,
}

impl LayerSearchRow {
    /// The rows of a table; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or other columns.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        table::read(path)
    }

    /// How good the choice is: how well its images carry over, or, where there is no other model, their loss.
    pub fn score(&self, is_alone: bool) -> f64 {
        match is_alone {
            true => self.loss,
            false => self.success_rate,
        }
    }

    /// Whether it is about these attacks.
    pub fn is_of(&self, surrogate: &str, attack: &str) -> bool {
        self.surrogate == surrogate && self.attack == attack
    }
}
