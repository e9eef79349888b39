//! The list of the sections of a spec. Each stands beside what it configures.

use crate::attacks::{AttackKind, AttackSpec};
use crate::data::DataSpec;
use crate::models::{LinbpSpec, ModelSpec};
use crate::optim::{OptimizerSpec, SchedulerSpec};
use crate::run::CheckpointSpec;
use crate::spec::section::SectionInfo;
use crate::stage::{EvaluateSpec, SimulateSpec, TransferSpec};
use crate::train::TrainSpec;

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
