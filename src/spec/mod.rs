//! The language of specs: layers, values with their ranges, sections, provenance, sweeps. It knows no section by name.
//!
//! Paths in a spec (`data.dir`, `model.weights`) are relative to the working directory; `extends` is relative to the
//! file that says it.

pub(crate) mod document;
pub(crate) mod fields;
pub(crate) mod inner_section;
pub(crate) mod layers;
pub(crate) mod listing;
pub(crate) mod location;
pub(crate) mod norm;
pub(crate) mod outcome;
mod overrides;
mod points;
pub(crate) mod range;
pub(crate) mod section;
pub(crate) mod stage_ref;
pub(crate) mod surroundings;
pub(crate) mod sweep;
mod sweep_range;
mod sweep_table;
mod sweep_words;
pub(crate) mod tagged;
pub(crate) mod task;
pub(crate) mod words;

pub(crate) use fields::{Fields, join, repeats};
pub use layers::Request;
pub use location::Location;
pub use norm::Norm;
pub(crate) use range::{Count, NonNegative, Restarts, fraction};
pub use range::{Epsilon, Iterations, StepSize};
pub use section::{Key, SectionInfo};
pub(crate) use section::{Section, section};
pub use stage_ref::StageRef;
pub(crate) use surroundings::{Surroundings, Table, peek};
pub use sweep::MAX_POINTS;
pub(crate) use tagged::tagged;
pub use task::TaskKind;
pub(crate) use words::found;
