//! Executes all runs of a plan: some at a time, each to its own end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::archive::archive;
use super::child::{Share, execute_apart};
use super::contents::Contents;
use super::execute::{Options, Outcome, execute};
use super::graph::Graph;
use super::inputs;
use super::keys::stage_keys;
use super::run_path::run_folder;
use super::selection::standing;
use crate::experiment::{Plan, PlannedRun};
use crate::run::{Progress, RunState, interrupt};
use crate::{Error, Result};

/// A run that was started, by its place in the plan, and how it ended.
pub type RunResult = (usize, Result<Outcome>);

/// Executes the runs of a plan that are not finished. A run that fails leaves the others going, unless
/// `options.fail_fast`. `ended` hears of each run as it ends.
///
/// # Errors
/// Only what concerns all runs, such as a folder that cannot be moved aside; failures of runs are in the results.
pub fn execute_all(
    plan: &Plan,
    options: &Options,
    progress: &Progress,
    ended: impl Fn(usize, &Result<Outcome>) + Sync,
) -> Result<Vec<RunResult>> {
    let named = options.results.join(&plan.name);
    let contents = Contents::open(&options.results);
    if options.fresh {
        let mut folders = Vec::new();
        let mut stages = BTreeSet::new();
        for run in &plan.runs {
            let read = inputs::of_stages(&run.spec, &contents)?;
            folders.push(run_folder(&named, run, &inputs::of_run(&read)).folder);
            if run.spec.staged {
                let keys = stage_keys(&run.spec, &Graph::new(&run.spec), &read)?;
                let ids = run.spec.stages.iter().map(|stage| stage.id.clone());
                stages.extend(ids.zip(keys));
            }
        }
        for path in archive(&named, &folders, &stages)? {
            progress.line(&format!("earlier results are in {}", path.display()));
        }
    }
    let workers = options.jobs.clamp(1, plan.runs.len().max(1));
    // What runs do not use of `--jobs` is left to their stages.
    let stage_jobs = (options.jobs / workers).max(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let results = Mutex::new(Vec::new());
    let work = |worker: usize| loop {
        let position = next.fetch_add(1, Ordering::SeqCst);
        let Some(run) = plan.runs.get(position) else {
            return;
        };
        if stopped.load(Ordering::SeqCst) || interrupt::requested() {
            return;
        }
        let begin = || match workers {
            1 => execute(run, options, &contents, stage_jobs, progress),
            _ => {
                let share = Share {
                    stage_jobs,
                    threads: (cores / workers).max(1),
                    worker,
                };
                apart(plan, run, options, &contents, share, progress)
            }
        };
        let mut result = begin();
        for retry in 1..=options.retries {
            match &result {
                Err(error) if !matches!(error, Error::Interrupted) => {
                    let name = if run.label.is_empty() {
                        &run.hash
                    } else {
                        &run.label
                    };
                    progress.line(&format!(
                        "{name}: failed, again ({retry} of {}): {error}",
                        options.retries
                    ));
                }
                _ => break,
            }
            result = begin();
        }
        if options.fail_fast && result.is_err() {
            stopped.store(true, Ordering::SeqCst);
        }
        ended(position, &result);
        results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((position, result));
    };
    if workers == 1 {
        work(0);
    } else {
        let work = &work;
        std::thread::scope(|scope| {
            for worker in 0..workers {
                scope.spawn(move || work(worker));
            }
        });
    }
    let mut results: Vec<RunResult> = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(position, _)| *position);
    if results.len() < plan.runs.len() && results.iter().all(|(_, result)| result.is_ok()) {
        // Stopped between two runs.
        return Err(Error::Interrupted);
    }
    Ok(results)
}

/// A run in a process of its own, but for one that is finished: that is only looked at.
fn apart(
    plan: &Plan,
    run: &PlannedRun,
    options: &Options,
    contents: &Contents,
    share: Share,
    progress: &Progress,
) -> Result<Outcome> {
    let (folder, state) = standing(run, &options.results.join(&plan.name), contents)?;
    if state == Some(RunState::Finished) {
        return execute(run, options, contents, share.stage_jobs, progress);
    }
    execute_apart(plan, run, &folder, options, share, progress)
}
