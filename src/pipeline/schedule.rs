//! Runs the stages of a graph, each after those that it uses, as many at a time as allowed.

use std::sync::{Condvar, Mutex, PoisonError};

use super::graph::Graph;
use crate::{Error, Result};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Running,
    Done,
    /// Failed, or uses what failed.
    Lost,
}

/// Calls `run` for every stage. A stage that fails loses those that use it; the others go on.
///
/// # Errors
/// The failures in words, one line each; [`Error::Interrupted`] as it is.
pub(super) fn run(
    graph: &Graph,
    jobs: usize,
    run: impl Fn(usize) -> Result<()> + Sync,
) -> Result<()> {
    let states = Mutex::new(vec![State::Waiting; graph.len()]);
    let changed = Condvar::new();
    let failures = Mutex::new(Vec::new());
    let order = graph.order();
    let work = || {
        let mut held = states.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            lose(graph, &mut held);
            let ready = |stage: &&usize| {
                held[**stage] == State::Waiting
                    && graph
                        .inputs(**stage)
                        .iter()
                        .all(|&input| held[input] == State::Done)
            };
            match order.iter().find(ready) {
                Some(&stage) => {
                    held[stage] = State::Running;
                    drop(held);
                    let result = run(stage);
                    held = states.lock().unwrap_or_else(PoisonError::into_inner);
                    held[stage] = if result.is_ok() {
                        State::Done
                    } else {
                        State::Lost
                    };
                    if let Err(error) = result {
                        failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(error);
                    }
                    changed.notify_all();
                }
                None if held.contains(&State::Running) => {
                    held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                }
                None => return,
            }
        }
    };
    let workers = jobs.clamp(1, graph.len().max(1));
    if workers == 1 {
        // On this thread, whose log is open.
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
    }
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if failures
        .iter()
        .any(|error| matches!(error, Error::Interrupted))
    {
        return Err(Error::Interrupted);
    }
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => {
            let lines: Vec<String> = failures.iter().map(Error::to_string).collect();
            Err(Error::failed(lines.join("\n")))
        }
    }
}

/// Gives up the stages that use what is lost.
fn lose(graph: &Graph, states: &mut [State]) {
    for stage in graph.order() {
        let lost = graph
            .inputs(stage)
            .iter()
            .any(|&input| states[input] == State::Lost);
        if lost && states[stage] == State::Waiting {
            states[stage] = State::Lost;
        }
    }
}
