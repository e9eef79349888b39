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
pub use data::{AugmentKind, DataSpec, ImagesRef, Normalize};
pub use evaluate::{EvalAttack, EvaluateSpec};
pub use linbp::{LayersByUse, LinbpSpec, LinbpVariant};
pub use model::{ModelSpec, Moment, Rectifier, StageRef, WeightsRef};
pub use optimizer::{OptimizerKind, OptimizerSpec};
pub use scheduler::{SchedulerKind, SchedulerSpec};
pub use simulate::{SimulateSpec, SimulationKind, StepRule};
pub use train::TrainSpec;
pub use transfer::TransferSpec;

use super::section::SectionInfo;
use crate::attacks::{AttackKind, AttackSpec};

/// Every section in the order in which a spec is written; `[attack]` with the keys of all attacks.
pub fn sections() -> Vec<SectionInfo> {
    let mut attack = SectionInfo::of::<AttackSpec>("attack");
    attack.keys.extend(AttackKind::all_keys());
    vec![
        SectionInfo::of::<DataSpec>("data"),
        SectionInfo::of::<ModelSpec>("model"),
        SectionInfo::of::<LinbpSpec>("linbp"),
        SectionInfo::of::<OptimizerSpec>("optimizer"),
        SectionInfo::of::<SchedulerSpec>("scheduler"),
        SectionInfo::of::<TrainSpec>("train"),
        attack,
        SectionInfo::of::<EvaluateSpec>("evaluate"),
        SectionInfo::of::<CheckpointSpec>("checkpoint"),
        SectionInfo::of::<SimulateSpec>("simulate"),
        SectionInfo::of::<TransferSpec>("transfer"),
    ]
}
