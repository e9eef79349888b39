//! What a stage reads from outside the results folder: the files of its weights and of its data.

use super::contents::Contents;
use crate::data::ImagesRef;
use crate::data::{self, Split};
use crate::experiment::{ExperimentSpec, StageSpec};
use crate::models::{Arch, WeightsRef};
use crate::run::{Input, weights_file};
use crate::stage::data_source;
use crate::{Error, Result};

/// Everything that a stage reads from outside, with the hash of its content. What comes to be read besides belongs in
/// this list: keys of stages, the record of a run and the check for changes all follow from it.
///
/// # Errors
/// Files that cannot be read.
pub fn of_stage(stage: &StageSpec, contents: &Contents) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for (_, model) in stage.task.models() {
        for path in Arch::find(&model.arch)?.files()? {
            let hash = contents.of_file(&path)?;
            inputs.push(Input::new("network", &path, hash));
        }
        if let Some(WeightsRef::File(path)) = &model.weights {
            let hash = contents.of_file(&weights_file(path))?;
            inputs.push(Input::new("weights", path, hash));
        }
    }
    let Some(spec) = stage.task.data() else {
        return Ok(inputs);
    };
    for images in stage.task.adversarial() {
        if let ImagesRef::File(path) = images {
            let hash = match path.is_dir() {
                true => contents.of_set(path, data::adversarial_files(path)?)?,
                false => contents.of_file(path)?,
            };
            inputs.push(Input::new("adversarial images", path, hash));
        }
    }
    if let (Some(extra), Some(_)) = (&spec.extra, stage.task.training()) {
        let hash = contents.of_file(&extra.file)?;
        inputs.push(Input::new("extra images", &extra.file, hash));
    }
    let Some(dir) = spec.dir.as_deref().filter(|_| !spec.kind.is_generated()) else {
        return Ok(inputs);
    };
    // Adversarial images come in place of the test images, of which at most the classes are read.
    let replaced = spec.adversarial.is_some() && spec.kind.classes.is_some();
    let splits: &[Split] = match stage.task.reads_training_images() {
        true => &[Split::Train, Split::Test],
        false if replaced => &[],
        false => &[Split::Test],
    };
    for &split in splits {
        let source = data_source(spec, split);
        let hash = contents.of_set(dir, data::files(&source, split))?;
        inputs.push(Input {
            classes: data::classes(&source, split)?,
            ..Input::new(split.images(), dir, hash)
        });
    }
    Ok(inputs)
}

/// The inputs of every stage, in the order of the spec.
///
/// # Errors
/// As `of_stage`.
pub fn of_stages(spec: &ExperimentSpec, contents: &Contents) -> Result<Vec<Vec<Input>>> {
    let stages = spec.stages.iter();
    stages.map(|stage| of_stage(stage, contents)).collect()
}

/// The inputs of all stages of a run, each once.
pub fn of_run(stages: &[Vec<Input>]) -> Vec<Input> {
    let mut inputs: Vec<Input> = stages.concat();
    inputs.sort();
    inputs.dedup();
    inputs
}

/// That the inputs of a stage which is about to begin are still those that its key was made of.
///
/// # Errors
/// In words, those that are not.
pub fn unchanged(stage: &StageSpec, before: &[Input], contents: &Contents) -> Result<()> {
    let changes = Input::changes(before, &of_stage(stage, contents)?);
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{} since this command began; start it again",
        changes.join(", ")
    )))
}
