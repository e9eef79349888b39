//! Runs on disk: the run folder and its lock, checkpoints, tables, provenance; and what a run tells its user.

mod checkpoint;
mod clock;
mod examples;
pub mod files;
mod folder;
pub mod interrupt;
mod list;
mod lock;
pub mod log;
mod metrics;
mod order;
pub mod pace;
mod progress;
mod provenance;
mod record;
mod retention;
mod simulation;
mod simulation_rows;
mod stage_folder;
mod store;
pub mod table;
mod transfer;

pub use checkpoint::Checkpoint;
pub use examples::{ExampleOutcome, ExampleRow, class_text};
pub use folder::{RunFolder, RunStart};
pub use list::{ListedRun, list, runs};
pub use lock::Lock;
pub use metrics::{MetricsRow, MetricsWriter};
pub use progress::Progress;
pub use provenance::{Code, Host};
pub use record::{FinishedStage, Metrics, RunRecord, RunState, StageRecord};
pub use simulation::{Method, Point, RepeatLines, SimulationRow, SimulationWriter, Trajectories};
pub use simulation_rows::fold_simulation;
pub use stage_folder::{StageFolder, adversarial_images, final_weights};
pub use store::CheckpointStore;
pub use transfer::TransferRow;
