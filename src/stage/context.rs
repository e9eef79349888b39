//! What a stage gets, and what it ends with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;

use crate::run::{Metrics, Progress, StageFolder};

/// What a stage gets to work with.
pub struct StageContext<'a> {
    /// The stage's id.
    pub id: &'a str,
    /// The seed of every random number.
    pub seed: u64,
    /// Where it leaves its files.
    pub folder: &'a StageFolder,
    /// The folders of the finished stages that it refers to, by id.
    pub inputs: &'a BTreeMap<String, PathBuf>,
    pub device: &'a Device,
    pub progress: &'a Progress,
}

/// What a stage ends with.
pub struct StageSummary {
    /// The last metrics, by name, for `run.json` and `summary.csv`.
    pub metrics: Metrics,
}
