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
mod outcome;
mod overrides;
mod plan;
mod precision;
pub(crate) mod range;
mod references;
mod resolved;
mod section;
mod sections;
mod smoke;
mod stages;
mod sweep;
mod sweep_table;
mod task;
mod uses;

pub use experiment::{ExperimentSpec, StageSpec};
pub use layers::Request;
pub use location::Location;
pub use plan::{Plan, PlannedRun, plan};
pub use precision::PrecisionChoice;
pub use range::{Epsilon, Iterations, StepSize};
pub use resolved::{FORMAT_VERSION, short_hash};
pub use section::Key;
pub use sections::*;
pub use sweep::MAX_POINTS;
pub use task::Task;
