//! Turns TOML into typed settings: layers, ranges, provenance, sweeps.

mod choice;
mod experiment;
mod fields;
mod location;
mod outcome;
mod range;
mod section;
mod sections;
mod task;

pub use experiment::{ExperimentSpec, StageSpec};
pub use location::Location;
pub use range::{Epsilon, Iterations, StepSize};
pub use section::Key;
pub use sections::*;
pub use task::Task;
