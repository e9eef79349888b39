//! Whether the memory of this machine can hold what a run asks for: an estimate from below, before anything starts.
//!
//! It counts what is there for certain: weights, their gradients and what the optimizer keeps, the images of a batch and
//! one number per unit or channel. What it refuses would have ended in an abort; what it lets pass may still be too large.

use std::collections::BTreeSet;

use super::preflight::{Faults, known_shape, outline, stages};
use crate::data::Split;
use crate::experiment::{ModelUse, PlannedRun, Task, TrainTask};
use crate::optim::OptimizerKind;
use crate::run::memory::words;
use crate::stage::{check_simulation, simulation_bytes};
use crate::{Error, Result};

/// Checks every stage against the memory of this machine. `on_cpu`: gradients and batches lie there too.
///
/// # Errors
/// Every stage that takes more, with the key to lower, one line each.
pub fn check_memory(runs: &[PlannedRun], on_cpu: bool) -> Result<()> {
    match memory() {
        Some(there) => check_against(there, runs, on_cpu),
        None => Ok(()),
    }
}

fn check_against(there: u128, runs: &[PlannedRun], on_cpu: bool) -> Result<()> {
    let mut faults = Faults::default();
    let mut seen = BTreeSet::new();
    let simulations = stages(runs).filter_map(|stage| match &stage.task {
        Task::Simulate(task) => Some(&task.simulate),
        _ => None,
    });
    let mut all: Vec<_> = simulations
        .map(|simulate| (simulation_bytes(simulate), Some(simulate)))
        .collect();
    for stage in stages(runs) {
        for used in stage.models() {
            all.push((
                model_bytes(&used, stage.task.training().filter(|_| on_cpu), on_cpu)?,
                None,
            ));
        }
    }
    for (parts, simulate) in all {
        let total: u128 = parts.iter().map(|(_, bytes)| bytes).sum();
        let largest = parts.iter().max_by_key(|(_, bytes)| *bytes);
        if let Some((key, _)) = largest
            && total > there
            && seen.insert(format!("{key} {total}"))
        {
            faults.note::<()>(Err(Error::spec(format!(
                "{key}: this takes at least {} of memory, and this machine has {}; lower {key}",
                words(total),
                words(there)
            ))));
        } else if let Some(simulate) = simulate {
            faults.note(check_simulation(simulate));
        }
    }
    faults.end(Error::Spec)
}

/// What a model takes at least, by the key that it grows with.
fn model_bytes(
    used: &ModelUse<'_>,
    training: Option<&TrainTask>,
    on_cpu: bool,
) -> Result<Vec<(&'static str, u128)>> {
    let (model, data) = (used.model, used.data);
    let Some(shape) = known_shape(data) else {
        return Ok(Vec::new());
    };
    let network = outline(used, shape)?;
    let (mut weights, mut units) = (0u128, 0u128);
    for parameter in network.parameters() {
        let dims = parameter.tensor().dims();
        weights += dims.iter().map(|&d| d as u128).product::<u128>();
        if dims.len() > 1 {
            units += dims[0] as u128;
        }
    }
    let copies = match training.map(|task| &task.optimizer) {
        None => 1,
        Some(optimizer) => match optimizer.kind {
            OptimizerKind::Sgd if optimizer.momentum == 0.0 => 2,
            OptimizerKind::Sgd => 3,
            OptimizerKind::Adam | OptimizerKind::Adamw => 4,
        },
    };
    let beside = training.map_or(0, |task| {
        u128::from(task.train.average.is_some()) + u128::from(task.train.awp.is_some())
    });
    let key = match (&model.widths, &model.layers) {
        (Some(_), _) => "model.widths",
        (_, Some(_)) => "model.layers",
        (None, None) => "model.arch",
    };
    let mut parts = vec![(key, 4 * (copies + beside) * weights)];
    if on_cpu {
        let (key, batch, limit, most) = match training {
            Some(_) => {
                let most = data.kind.most(Split::Train);
                ("data.batch_size", data.batch_size, data.train_limit, most)
            }
            None => {
                let most = data.kind.most(Split::Test);
                (
                    "data.eval_batch_size",
                    data.eval_batch_size,
                    data.test_limit,
                    most,
                )
            }
        };
        // A data set of unknown size may be smaller than a batch.
        if let Some(most) = limit.or(most) {
            let image: usize = shape.iter().product();
            // Training keeps every layer's output until its gradient is known.
            let numbers = image as u128 + if training.is_some() { units } else { 0 };
            parts.push((key, 4 * batch.min(most) as u128 * numbers));
        }
    }
    Ok(parts)
}

/// The memory that this process may have at most, in bytes: that of the machine, or less where it is confined.
fn memory() -> Option<u128> {
    let limits = [installed(), control_group()];
    limits.into_iter().flatten().min()
}

#[cfg(unix)]
fn installed() -> Option<u128> {
    // SAFETY: these calls take no pointers.
    let (pages, size) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    let (pages, size) = (u128::try_from(pages).ok()?, u128::try_from(size).ok()?);
    Some(pages * size).filter(|&bytes| bytes > 0)
}

#[cfg(not(unix))]
fn installed() -> Option<u128> {
    None
}

/// The limit of the control group, as containers have it.
fn control_group() -> Option<u128> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan;
    use crate::spec::Request;

    fn refused(text: &str, there: u128) -> String {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("a.toml");
        std::fs::write(&spec, text).unwrap();
        let plan = plan(&Request {
            spec,
            ..Request::default()
        });
        let checked = check_against(there, &plan.unwrap().runs, true);
        checked
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn what_takes_more_than_there_is_names_the_key() {
        const GIB: u128 = 1 << 30;
        let train = |more: &str| {
            format!(
                "task = \"train\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\noptimizer.lr = 0.1\n\
                 train.epochs = 1\n{more}"
            )
        };
        assert_eq!(refused(&train(""), GIB), "");
        assert_eq!(
            refused(&train("model.widths = [1000000000, 1000000000]"), GIB),
            "model.widths: this takes at least 6.9 EiB of memory, and this machine has 1.0 GiB; lower model.widths"
        );
        let wide = train("model.widths = [20000]\ndata.batch_size = 50000");
        assert!(refused(&wide, GIB).starts_with("data.batch_size: this takes at least 4.0 GiB"));
        assert_eq!(refused(&wide, 8 * GIB), "");
        let simulate = |more: &str| {
            format!("task = \"simulate\"\nsimulate.kind = \"two-layer-attack\"\n{more}")
        };
        assert_eq!(refused(&simulate(""), GIB), "");
        for key in ["steps", "repeats", "inputs", "hidden", "outputs"] {
            let found = refused(&simulate(&format!("simulate.{key} = 1000000000")), GIB);
            assert!(
                found.ends_with(&format!("; lower simulate.{key}")),
                "{found}"
            );
        }
        let thinned = "simulate.steps = 1000000000\nsimulate.record_every = 1000000";
        assert_eq!(refused(&simulate(thinned), GIB), "");
    }
}
