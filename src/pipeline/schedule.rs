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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::experiment::plan;
    use crate::spec::Request;

    /// Two trainings, `a` and `c`, and two attacks on the first, `b` and `d`, in the order b a c d.
    fn graph() -> Graph {
        let stage = |id: &str, rest: &str| format!("[[stage]]\nid = \"{id}\"\n{rest}\n");
        let train = "task = \"train\"\nmodel = { arch = \"lenet5\" }";
        let attack = "task = \"attack\"\nmodel = { weights = \"@a\" }";
        let stages = [("b", attack), ("a", train), ("c", train), ("d", attack)];
        let text = "data = { kind = \"digits\" }\nattack = { kind = \"fgsm\", epsilon = 0.1 }\n\
                    optimizer = { lr = 0.1 }\ntrain = { epochs = 1 }\n";
        let stages = stages.map(|(id, rest)| stage(id, rest)).concat();
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("a.toml");
        std::fs::write(&spec, format!("{text}{stages}")).unwrap();
        let request = Request {
            spec,
            ..Request::default()
        };
        Graph::new(&plan(&request).unwrap().runs[0].spec)
    }

    fn ran(jobs: usize, result: impl Fn(usize) -> Result<()> + Sync) -> (Vec<usize>, Result<()>) {
        let ran = Mutex::new(Vec::new());
        let ended = run(&graph(), jobs, |stage| {
            ran.lock().unwrap().push(stage);
            result(stage)
        });
        (ran.into_inner().unwrap(), ended)
    }

    #[test]
    fn one_job_takes_the_stages_in_order() {
        let (ran, ended) = ran(1, |_| Ok(()));
        assert_eq!(ran, [1, 0, 2, 3]);
        assert!(ended.is_ok());
    }

    #[test]
    fn a_failure_loses_only_what_uses_it() {
        for jobs in [1, 3] {
            let (mut ran, ended) = ran(jobs, |stage| match stage {
                1 => Err(Error::failed("no")),
                _ => Ok(()),
            });
            ran.sort_unstable();
            assert_eq!(ran, [1, 2]);
            assert_eq!(ended.unwrap_err().to_string(), "no");
        }
    }

    #[test]
    fn independent_stages_run_at_the_same_time() {
        // Each of the two trainings waits for the other: alone, neither would end.
        let both = Barrier::new(2);
        let (ran, ended) = ran(2, |stage| {
            if stage == 1 || stage == 2 {
                both.wait();
            }
            Ok(())
        });
        assert_eq!(ran.len(), 4);
        assert!(ended.is_ok());
    }

    #[test]
    fn an_interruption_outweighs_a_failure() {
        let (_, ended) = ran(1, |stage| match stage {
            1 => Err(Error::failed("no")),
            _ => Err(Error::Interrupted),
        });
        assert!(matches!(ended, Err(Error::Interrupted)));
    }
}
