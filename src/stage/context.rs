//! What a stage gets, and what it ends with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;

use crate::data::{Decoded, Split};
use crate::run::{Input, Metrics, Progress, StageFolder, files};

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
    /// What it reads from outside the folder of all results.
    pub read: &'a [Input],
    /// The folder of all results.
    pub results: &'a Path,
    pub device: &'a Device,
    pub progress: &'a Progress,
}

impl StageContext<'_> {
    /// Where the decoded images of a split are kept, if it is read from files.
    pub fn decoded(&self, split: Split) -> Option<Decoded> {
        let input = self.read.iter().find(|read| read.what == split.images())?;
        Some(Decoded::new(self.results.join(files::DECODED), &input.hash))
    }
}

/// What a stage ends with.
pub struct StageSummary {
    /// The last metrics, by name, for `run.json` and `summary.csv`.
    pub metrics: Metrics,
}
