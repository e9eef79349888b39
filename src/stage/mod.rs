//! What a stage does: one file a task, on top of what the tasks share.

mod adversarial_train;
mod assemble;
mod attack;
#[cfg(test)]
mod device_tests;
mod epoch_sums;
mod evaluate;
mod examples;
mod fit;
mod images;
mod measure;
mod room;
mod simulate;
mod train;
mod transfer;

pub use assemble::{
    check_attacks, check_weights, data_source, linbp_plan, made_before, model_config,
};
pub use simulate::{refuse_too_large as check_simulation, simulation_bytes};

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;

use crate::Result;
use crate::run::{Metrics, Progress, StageFolder};
use crate::spec::{StageSpec, Task};

/// What a stage gets to work with.
pub struct StageContext<'a> {
    pub spec: &'a StageSpec,
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

/// Runs a stage, from its last checkpoint where there is one.
pub fn run(ctx: &StageContext<'_>) -> Result<StageSummary> {
    let metrics = match ctx.spec.task {
        Task::Simulate => return simulate::run(ctx),
        Task::Train => train::run(ctx)?,
        Task::AdversarialTrain => adversarial_train::run(ctx)?,
        Task::Attack => attack::run(ctx)?,
        Task::Evaluate => evaluate::run(ctx)?,
        Task::Transfer => transfer::run(ctx)?,
    };
    Ok(StageSummary { metrics })
}
