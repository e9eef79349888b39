//! The sections of a spec, one file each: what can be set, its meaning, unit, range and default.

mod checkpoint;
mod data;
mod evaluate;
mod linbp;
mod model;
mod optimizer;
mod scheduler;
mod simulate;
mod train;
mod transfer;

pub use checkpoint::{CheckpointSpec, Interval};
pub use data::{AugmentKind, DataKind, DataSpec, ImagesRef, Normalize};
pub use evaluate::{EvalAttack, EvaluateSpec};
pub use linbp::{LayersByUse, LinbpSpec, LinbpVariant};
pub use model::{ModelSpec, Moment, Rectifier, StageRef, WeightsRef};
pub use optimizer::{OptimizerKind, OptimizerSpec};
pub use scheduler::{SchedulerKind, SchedulerSpec};
pub use simulate::{SimulateSpec, SimulationKind, StepRule};
pub use train::TrainSpec;
pub use transfer::TransferSpec;

use super::section::{Key, Section};
use crate::attacks::{AttackKind, AttackSpec};

/// Every section by name, with its keys, in the order in which a spec is written. `[attack]` has those of all attacks.
pub fn sections() -> Vec<(&'static str, Vec<Key>)> {
    let attack = AttackSpec::KEYS.iter().copied();
    vec![
        ("data", DataSpec::KEYS.to_vec()),
        ("model", ModelSpec::KEYS.to_vec()),
        ("linbp", LinbpSpec::KEYS.to_vec()),
        ("optimizer", OptimizerSpec::KEYS.to_vec()),
        ("scheduler", SchedulerSpec::KEYS.to_vec()),
        ("train", TrainSpec::KEYS.to_vec()),
        ("attack", attack.chain(AttackKind::all_keys()).collect()),
        ("evaluate", EvaluateSpec::KEYS.to_vec()),
        ("checkpoint", CheckpointSpec::KEYS.to_vec()),
        ("simulate", SimulateSpec::KEYS.to_vec()),
        ("transfer", TransferSpec::KEYS.to_vec()),
    ]
}
