//! What a stage does: one file per task, on top of what the tasks share.

pub(crate) mod assemble;
mod attack;
pub(crate) mod context;
mod ensemble_section;
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
    check_attacks, check_features, check_mixing, check_weights, data_source, extra, linbp_plan,
    made_before, model_config, moment_weights, network_from, stem,
};
pub use context::{StageContext, StageSummary};
pub use evaluate_section::{EvalAttack, EvaluateSpec};
pub use simulate::{refuse_too_large as check_simulation, simulation_bytes};
pub use simulate_section::{SimulateSpec, SimulationKind, StepRule};
pub use transfer_section::{AttackedImages, TransferSpec};

use crate::Result;
use crate::experiment::Task;
use crate::train::training;

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
