//! Which runs of a plan a command is about, by how they stand.

use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::inputs;
use super::run_path::run_folder;
use crate::Result;
use crate::experiment::{Plan, PlannedRun};
use crate::run::clock::in_words;
use crate::run::{RunRecord, RunState, usual_time};

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

/// How long what is left of a plan will take, in words, by the finished runs of its name; nothing where none is left, or
/// none of the name is finished. `jobs`: runs at the same time.
pub fn expected_time(plan: &Plan, jobs: usize, results: &Path) -> Option<String> {
    let named = results.join(&plan.name);
    let contents = Contents::open(results);
    let runs = plan.runs.iter();
    let open = runs.filter(|run| {
        let state = standing(run, &named, &contents).map(|(_, state)| state);
        !matches!(state, Ok(Some(RunState::Finished)))
    });
    let left = open.count();
    let (time, known) = usual_time(results, &plan.name)?;
    let rounds = u32::try_from(left.div_ceil(jobs.max(1))).ok()?;
    (left > 0).then(|| {
        format!(
            "{left} to be done, {} expected: finished ones ({known}) took {}",
            in_words(time * rounds),
            in_words(time)
        )
    })
}
