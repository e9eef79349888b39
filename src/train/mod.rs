//! Training: objectives, one file each, and what they share: the step, the loop, checkpoints, running metrics.
//!
//! An objective says what a step minimises, [`Objective`]; [`train_step`] is the one step there is. An objective is added
//! by its file and an entry in the list below, which the spec and its messages read.

mod adversary;
mod average;
mod awp;
mod batch_size;
mod divergence;
mod guard_section;
mod list;
mod objective;
mod running_metrics;
mod section;
mod statistics;
mod step;
#[cfg(test)]
mod tests;
pub(crate) mod training;

pub use adversary::Adversary;
pub use average::{Average, AverageKind, AverageSpec};
pub use awp::Awp;
pub use guard_section::{GUARD_KEYS, GuardSpec, OnCollapse};
pub use objective::{Evaluated, Objective, Step};
pub use running_metrics::{EpochSums, RunningMetrics};
pub use section::TrainSpec;
pub use step::train_step;

list::objectives! {
    clean::Clean = "clean",
    adversarial::Adversarial = "adversarial",
    trades::Trades = "trades",
    mart::Mart = "mart",
    free::Free = "free",
}
