//! Which runs of a plan a command is about, by how they stand.

use super::contents::Contents;
use super::inputs;
use super::run_path::run_folder;
use crate::Result;
use crate::experiment::Plan;
use crate::run::{RunRecord, RunState};

/// Runs of a sweep that are not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// Those that ended with an error
    Failed,
    /// Those that were never begun
    Missing,
    /// Those that were stopped or killed
    Interrupted,
}

/// Drops the other runs from a plan.
///
/// # Errors
/// An input that cannot be read, a damaged record.
pub fn keep_only(plan: &mut Plan, only: Only, results: &std::path::Path) -> Result<()> {
    let named = results.join(&plan.name);
    let contents = Contents::open(results);
    let mut kept = Vec::new();
    for run in std::mem::take(&mut plan.runs) {
        let read = inputs::of_stages(&run.spec, &contents)?;
        let folder = named.join(run_folder(&named, &run, &inputs::of_run(&read)).folder);
        let state = RunRecord::read(&folder)?.map(|record| record.actual_state(&folder));
        let keep = match only {
            Only::Failed => state == Some(RunState::Failed),
            Only::Missing => state.is_none(),
            Only::Interrupted => state == Some(RunState::Interrupted),
        };
        if keep {
            kept.push(run);
        }
    }
    plan.runs = kept;
    Ok(())
}
