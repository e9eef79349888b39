//! Which runs of a plan a command is about, by how they stand.

use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::inputs;
use super::run_path::run_folder;
use crate::Result;
use crate::experiment::{Plan, PlannedRun};
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

/// Where a run lies, and how it stands; nothing where it was never begun.
pub(super) fn standing(
    run: &PlannedRun,
    named: &Path,
    contents: &Contents,
) -> Result<(PathBuf, Option<RunState>)> {
    let read = inputs::of_stages(&run.spec, contents)?;
    let folder = named.join(run_folder(named, run, &inputs::of_run(&read)).folder);
    let state = RunRecord::read(&folder)?.map(|record| record.actual_state(&folder));
    Ok((folder, state))
}

/// Drops the other runs from a plan.
///
/// # Errors
/// An input that cannot be read, a damaged record.
pub fn keep_only(plan: &mut Plan, only: Only, results: &Path) -> Result<()> {
    let named = results.join(&plan.name);
    let contents = Contents::open(results);
    let mut kept = Vec::new();
    for run in std::mem::take(&mut plan.runs) {
        let (_, state) = standing(&run, &named, &contents)?;
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
