//! What a stage does: one file per task, on top of what the tasks share.

pub(crate) mod assemble;
mod attack;
mod evaluate;
mod evaluate_section;
pub(crate) mod evaluation;
mod examples;
mod images;
mod simulate;
mod simulate_section;
mod transfer;
mod transfer_section;

pub use assemble::{
    check_attacks, check_weights, data_source, linbp_plan, made_before, model_config,
};
pub use evaluate_section::{EvalAttack, EvaluateSpec};
pub use simulate::{refuse_too_large as check_simulation, simulation_bytes};
pub use simulate_section::{SimulateSpec, SimulationKind, StepRule};
pub use transfer_section::TransferSpec;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;

use crate::Result;
use crate::experiment::Task;
use crate::run::{Metrics, Progress, StageFolder};
use crate::train::training;

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

/// Runs a stage, from its last checkpoint where there is one.
pub fn run(ctx: &StageContext<'_>, task: &Task) -> Result<StageSummary> {
    let metrics = match task {
        Task::Simulate(task) => return simulate::run(ctx, task),
        Task::Train(task) | Task::AdversarialTrain(task) => training::run(ctx, task)?,
        Task::Attack(task) => attack::run(ctx, task)?,
        Task::Evaluate(task) => evaluate::run(ctx, task)?,
        Task::Transfer(task) => transfer::run(ctx, task)?,
    };
    Ok(StageSummary { metrics })
}
