//! Turns TOML into typed settings: layers, ranges, provenance, sweeps.
//!
//! Paths in a spec (`data.dir`, `model.weights`) are relative to the working directory; `extends` is relative to the
//! file that says it.

pub(crate) mod choice;
mod compose;
mod document;
mod experiment;
pub(crate) mod fields;
mod layers;
mod location;
mod norm;
mod outcome;
mod overrides;
mod plan;
mod precision;
pub(crate) mod range;
mod references;
mod resolved;
pub(crate) mod section;
mod sections;
mod smoke;
mod stages;
mod sweep;
mod sweep_table;
mod task;
mod tasks;
mod words;

pub(crate) use choice::{choices, nearest, one_of};
pub use experiment::{ExperimentSpec, ModelUse, StageSpec};
pub(crate) use fields::{Fields, Surroundings, Table, join, peek, repeats};
pub use layers::Request;
pub use location::Location;
pub use norm::Norm;
pub use plan::{Plan, PlannedRun, plan};
pub use precision::PrecisionChoice;
pub(crate) use range::{Count, NonNegative, Restarts, fraction};
pub use range::{Epsilon, Iterations, StepSize};
pub use resolved::{FORMAT_VERSION, short_hash};
pub use section::{Key, SectionInfo};
pub(crate) use section::{Section, section};
pub use sections::*;
pub use sweep::MAX_POINTS;
pub use task::TaskKind;
pub use tasks::{AttackTask, EvaluateTask, SimulateTask, Task, TrainTask, TransferTask};
pub(crate) use words::found;
