//! A training of more epochs that goes on from a finished one of fewer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::graph::Graph;
use super::keys::stage_keys;
use crate::experiment::{ExperimentSpec, StageSpec, Task, TrainTask};
use crate::optim::{Schedule, SchedulerSpec};
use crate::run::{FinishedStage, Input, StageFolder, files};
use crate::{Error, Result};

/// A finished training whose only difference is its number of epochs, and what follows from it.
struct Shorter {
    epochs: usize,
    scheduler: SchedulerSpec,
    folder: PathBuf,
}

/// Has the training at `position`, which has not begun in `folder`, go on from the longest finished one under `named`
/// (`results/<name>`) that differs from it in its number of epochs alone: where `asked`, by its checkpoints. What there is
/// to say of it, in words; none where there is no such training.
///
/// # Errors
/// Checkpoints that cannot be copied; where `asked`, rates that the longer training would have had otherwise.
pub(super) fn extend(
    asked: bool,
    spec: &ExperimentSpec,
    graph: &Graph,
    inputs: &[Vec<Input>],
    position: usize,
    named: &Path,
    folder: &StageFolder,
) -> Result<Option<String>> {
    let Some(task) = training(&spec.stages[position]) else {
        return Ok(None);
    };
    let store = folder.checkpoints(task.checkpoint.keep);
    if !store.is_empty()? {
        return Ok(None);
    }
    let Some(shorter) = shorter(spec, graph, inputs, position, named)? else {
        let words = "begins anew: no finished training differs in having fewer epochs alone";
        return Ok(asked.then(|| words.to_owned()));
    };
    let (epochs, place) = (shorter.epochs, shorter.folder.display());
    let before = Schedule::new(&shorter.scheduler, &task.optimizer)?;
    let now = Schedule::new(&task.scheduler, &task.optimizer)?;
    if let Some(epoch) = now.first_difference(task.train.epochs, &before, epochs) {
        let why = format!(
            "--extend: the {epochs} epochs of {place} had other learning rates: over {} epochs scheduler.kind = \"{}\" \
             departs from them in epoch {}; without --extend it trains from the beginning",
            task.train.epochs,
            task.scheduler.kind,
            epoch + 1
        );
        return if asked {
            Err(Error::failed(why))
        } else {
            Ok(None)
        };
    }
    if !asked {
        return Ok(Some(format!(
            "begins anew; --extend would go on from the {epochs} epochs of {place}"
        )));
    }
    store.take_from(&shorter.folder.join(files::CHECKPOINTS))?;
    Ok(Some(format!("goes on from the {epochs} epochs of {place}")))
}

fn training(stage: &StageSpec) -> Option<&TrainTask> {
    match &stage.task {
        Task::Train(task) | Task::AdversarialTrain(task) => Some(task),
        _ => None,
    }
}

fn shorter(
    spec: &ExperimentSpec,
    graph: &Graph,
    inputs: &[Vec<Input>],
    position: usize,
    named: &Path,
) -> Result<Option<Shorter>> {
    // The keys that the training would have with fewer epochs.
    let mut other = spec.clone();
    let mut shorter = HashMap::new();
    let Some(task) = training(&spec.stages[position]) else {
        return Ok(None);
    };
    // A cosine that ends with the training has this from its epochs.
    let follows = task.scheduler.t_max == Some(task.train.epochs);
    for fewer in 1..task.train.epochs {
        for t_max in [task.scheduler.t_max, follows.then_some(fewer)] {
            if let Task::Train(task) | Task::AdversarialTrain(task) =
                &mut other.stages[position].task
            {
                task.train.epochs = fewer;
                task.scheduler.t_max = t_max;
                let scheduler = task.scheduler.clone();
                let mut keys = stage_keys(&other, graph, inputs)?;
                shorter.insert(keys.swap_remove(position), (fewer, scheduler));
            }
        }
    }
    let mut longest: Option<Shorter> = None;
    for parent in [named.to_owned(), named.join(files::SHARED_STAGES)] {
        let folders = Error::if_there("read", &parent, std::fs::read_dir(&parent))?;
        for entry in folders.into_iter().flatten().flatten() {
            let folder = entry.path();
            // What is damaged is nothing to go on from.
            let Ok(Some(found)) = FinishedStage::in_folder(&folder) else {
                continue;
            };
            let Some((epochs, scheduler)) = shorter.get(&found.key).cloned() else {
                continue;
            };
            if longest
                .as_ref()
                .is_none_or(|longest| longest.epochs < epochs)
            {
                longest = Some(Shorter {
                    epochs,
                    scheduler,
                    folder,
                });
            }
        }
    }
    Ok(longest)
}
