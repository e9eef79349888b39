//! The sections of a spec, one file each: what can be set, its meaning, unit, range and default.

mod attack;
mod attack_kind;
mod attack_target;
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

pub use attack::{AttackSpec, ModelMode, Norm};
pub use attack_kind::{AttackKind, AttackLoss, Compat, EnsembleMember};
pub use attack_target::AttackTarget;
pub use checkpoint::{CheckpointSpec, Interval};
pub use data::{AugmentKind, DataSpec, ImagesRef, Normalize};
pub use evaluate::{EvalAttack, EvaluateSpec};
pub use linbp::{LayersByUse, LinbpSpec, LinbpVariant};
pub use model::{ModelSpec, Moment, Rectifier, StageRef, WeightsRef};
pub use optimizer::{OptimizerKind, OptimizerSpec};
pub use scheduler::{SchedulerKind, SchedulerSpec};
pub use simulate::{SimulateSpec, SimulationKind, StepRule};
pub use train::TrainSpec;
pub use transfer::TransferSpec;

use super::section::{Key, Section};

/// Every section by name, with its keys, in the order in which a spec is written.
pub const SECTIONS: &[(&str, &[Key])] = &[
    ("data", DataSpec::KEYS),
    ("model", ModelSpec::KEYS),
    ("linbp", LinbpSpec::KEYS),
    ("optimizer", OptimizerSpec::KEYS),
    ("scheduler", SchedulerSpec::KEYS),
    ("train", TrainSpec::KEYS),
    ("attack", AttackSpec::KEYS),
    ("evaluate", EvaluateSpec::KEYS),
    ("checkpoint", CheckpointSpec::KEYS),
    ("simulate", SimulateSpec::KEYS),
    ("transfer", TransferSpec::KEYS),
];
