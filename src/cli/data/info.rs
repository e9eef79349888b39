//! `runner data info SPEC`: what the data of a spec comes to.

use std::path::Path;

use crate::Result;
use crate::cli::Overrides;
use crate::cli::output::{out, remark};
use crate::cli::request::request;
use crate::data::{self, Description, Split};
use crate::data::{DataSpec, ImagesRef, Normalize};
use crate::experiment::{PlannedRun, StageSpec, plan};
use crate::spec::StageRef;
use crate::stage::{data_source, made_before};

/// Describes every data set that the runs of a spec read, each once.
///
/// # Errors
/// As a run would fail: a spec with faults, data that is missing or damaged.
pub fn info(spec: &Path, overrides: &Overrides) -> Result<()> {
    let plan = plan(&request(spec, overrides))?;
    for warning in &plan.warnings {
        remark("warning", warning);
    }
    let sets = sets(&plan.runs);
    for (number, set) in sets.iter().enumerate() {
        if number > 0 {
            out("\n")?;
        }
        if !set.stages.is_empty() {
            out(&format!("data of {}\n", set.stages.join(", ")))?;
        }
        out(&describe(set)?)?;
    }
    if sets.is_empty() {
        out(&format!("{}: reads no data\n", spec.display()))?;
    }
    Ok(())
}

/// Data that some stages read.
struct Set<'a> {
    data: &'a DataSpec,
    /// Whether a stage reads its training images.
    training: bool,
    /// The ids of the stages; empty in a spec of one task.
    stages: Vec<&'a str>,
}

fn sets(runs: &[PlannedRun]) -> Vec<Set<'_>> {
    let mut sets: Vec<Set> = Vec::new();
    for stage in runs.iter().flat_map(|run| &run.spec.stages) {
        let Some(data) = stage.task.data() else {
            continue;
        };
        let training = stage.task.reads_training_images();
        let same =
            |set: &&mut Set| set.training == training && images_of(set.data) == images_of(data);
        let id = (stage.id != StageSpec::MAIN).then_some(stage.id.as_str());
        match sets.iter_mut().find(same) {
            Some(set) => {
                let new = id.filter(|id| !set.stages.contains(id));
                set.stages.extend(new);
            }
            None => sets.push(Set {
                data,
                training,
                stages: id.into_iter().collect(),
            }),
        }
    }
    sets
}

/// The settings that decide which images there are; the others are put alike.
fn images_of(data: &DataSpec) -> DataSpec {
    DataSpec {
        augment: Vec::new(),
        normalize: Normalize::None,
        batch_size: 1,
        eval_batch_size: 1,
        ..data.clone()
    }
}

fn describe(set: &Set) -> Result<String> {
    let data = set.data;
    let load = |split| -> Result<Description> {
        let set = data::load(&data_source(data, split), split)?;
        Description::of(&set)
    };
    let train = set.training.then(|| load(Split::Train)).transpose()?;
    let test = match &data.adversarial {
        Some(ImagesRef::Stage(_)) => None,
        Some(ImagesRef::File(path)) => Some(Description::of(&made_before(data, path)?)?),
        None => Some(load(Split::Test)?),
    };
    let mut text = match (
        &data.adversarial,
        data.dir.as_deref().and_then(|dir| data.kind.detect(dir)),
    ) {
        (Some(ImagesRef::File(path)), _) => {
            format!("{}: made before, in {}\n", data.kind, path.display())
        }
        (_, Some((format, folder))) => {
            format!("{}: {} in {}\n", data.kind, format.name(), folder.display())
        }
        (_, None) => format!("{}: drawn by the program\n", data.kind),
    };
    let splits = [(Split::Train, &train), (Split::Test, &test)];
    let found: Vec<(Split, &Description)> = splits
        .into_iter()
        .filter_map(|(split, found)| Some((split, found.as_ref()?)))
        .collect();
    for (split, found) in &found {
        text.push_str(&of_split(*split, found));
    }
    if let (Some(count), Some(_)) = (data.validation, &train) {
        text.push_str(&format!(
            "validation: {count} of the training images, chosen by the seed\n"
        ));
    }
    if let Some(ImagesRef::Stage(StageRef(id))) = &data.adversarial {
        text.push_str(&format!(
            "test: the adversarial images of the stage \"{id}\"\n"
        ));
    }
    // The training images where there are any: their statistics are those that `data.normalize` takes.
    if let Some((split, found)) = found.first() {
        text.push_str(&format!(
            "{} pixels in [0, 1], by channel: mean [{}], std [{}]\n",
            split.name(),
            numbers(&found.mean),
            numbers(&found.std)
        ));
    }
    Ok(text)
}

fn of_split(split: Split, found: &Description) -> String {
    let classes: Vec<String> = found
        .classes
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let [channels, height, width] = found.shape;
    format!(
        "{}: {} images of {channels}x{height}x{width} (channels x height x width); {}; first {}\n",
        split.name(),
        found.images,
        classes.join(", "),
        found.first.join(", ")
    )
}

fn numbers(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
    values.join(", ")
}
