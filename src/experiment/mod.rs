//! What a spec asks for: its stages, each a task with its sections; their references; every run of a sweep.

mod compose;
#[expect(clippy::module_inception)]
mod experiment;
mod frozen;
mod launcher;
mod plan;
mod references;
mod resolved;
mod sections;
mod smoke;
mod stages;
mod tasks;
mod template;

pub use experiment::{ExperimentSpec, ModelUse, StageSpec};
pub use frozen::FrozenRun;
pub use launcher::LauncherSpec;
pub(crate) use plan::plan_document;
pub use plan::{Plan, PlannedRun, plan};
pub use resolved::{FORMAT_VERSION, short_hash};
pub use sections::sections;
pub use tasks::{AttackTask, EvaluateTask, SimulateTask, Task, TrainTask, TransferTask};
pub use template::template;
