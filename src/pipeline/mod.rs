//! From a checked spec to files: the graph of its stages, their keys, and what executes them.

mod archive;
mod child;
mod contents;
mod device;
mod execute;
mod extend;
mod graph;
mod inputs;
mod keys;
mod memory;
mod network;
mod preflight;
mod run_path;
mod runs;
mod schedule;
mod selection;
mod shared;
mod slurm;
mod slurm_queue;

pub use archive::archive_runs;
pub use contents::Contents;
pub use device::{DeviceChoice, described, precision};
pub use execute::{Options, Outcome};
pub use graph::{Format, Graph, points};
pub use inputs::{of_run, of_stages};
pub use keys::stage_keys;
pub use memory::check_memory;
pub use network::{FoundNetwork, network_of};
pub use preflight::{check_data, check_models};
pub use run_path::{RunPath, run_folder};
pub use runs::{RunResult, execute_all};
pub use selection::{Only, expected_time, keep_only};
pub use slurm::{Submission, Submitted, submit};
pub use slurm_queue::queued;
