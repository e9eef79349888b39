//! `runner data info SPEC`: what the data of a spec comes to.

use std::path::Path;

use crate::Result;
use crate::cli::Overrides;
use crate::cli::output::{out, remark};
use crate::cli::request::request;
use crate::data::{self, Description, Split, format};
use crate::spec::{DataSpec, StageSpec, plan};
use crate::stage::data_source;

/// Describes every data set that the runs of a spec read, each once.
///
/// # Errors
/// As a run would fail: a spec with faults, data that is missing or damaged.
pub fn info(spec: &Path, overrides: &Overrides) -> Result<()> {
    let plan = plan(&request(spec, overrides))?;
    for warning in &plan.warnings {
        remark("warning", warning);
    }
    let mut described: Vec<(DataSpec, bool)> = Vec::new();
    for stage in plan.runs.iter().flat_map(|run| &run.spec.stages) {
        let Some(data) = &stage.data else { continue };
        let key = (essence(data), stage.task.is_training());
        if described.contains(&key) {
            continue;
        }
        if !described.is_empty() {
            out("\n")?;
        }
        described.push(key);
        out(&describe(stage, data)?)?;
    }
    if described.is_empty() {
        out(&format!("{}: reads no data\n", spec.display()))?;
    }
    Ok(())
}

/// The settings that decide which images there are.
fn essence(data: &DataSpec) -> DataSpec {
    DataSpec {
        augment: Vec::new(),
        normalize: crate::spec::Normalize::None,
        batch_size: 1,
        eval_batch_size: 1,
        ..data.clone()
    }
}

fn describe(stage: &StageSpec, data: &DataSpec) -> Result<String> {
    let mut text = match &data.dir {
        Some(dir) => match format::detect(dir) {
            Some(format) => format!("{}: {format}\n", data.kind),
            None => format!("{}: {}\n", data.kind, dir.display()),
        },
        None => format!("{}: drawn by the program\n", data.kind),
    };
    // What the task does not read need not be there.
    let train = data::load(&data_source(data, Split::Train), Split::Train);
    let train = match (train, stage.task.is_training()) {
        (Ok(set), _) => Some(Description::of(&set)),
        (Err(error), true) => return Err(error),
        (Err(_), false) => None,
    };
    let test = match &data.adversarial {
        Some(from) => {
            text.push_str(&format!(
                "test: the adversarial images of the stage \"{}\"\n",
                from.0
            ));
            None
        }
        None => Some(Description::of(&data::load(
            &data_source(data, Split::Test),
            Split::Test,
        )?)),
    };
    if let Some(any) = train.as_ref().or(test.as_ref()) {
        let [channels, height, width] = any.shape;
        text.push_str(&format!(
            "images: {channels}x{height}x{width} (channels x height x width), {} classes\n",
            any.classes.len()
        ));
    }
    for (split, found) in [(Split::Train, &train), (Split::Test, &test)] {
        if let Some(found) = found {
            text.push_str(&of_split(split, found));
        }
    }
    match &train {
        Some(train) => text.push_str(&format!(
            "training pixels in [0, 1], by channel: mean [{}], std [{}]\n",
            numbers(&train.mean),
            numbers(&train.std)
        )),
        None => text.push_str("train: no images, and this task needs none\n"),
    }
    Ok(text)
}

fn of_split(split: Split, found: &Description) -> String {
    let classes: Vec<String> = found
        .classes
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    format!(
        "{}: {} images ({}); first: {}\n",
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
