//! What can be known to fail before anything runs: missing data and weights, LinBP layers that match nothing, attacks that
//! ask for more classes than there are.

use std::collections::BTreeSet;

use crate::data::{self, Source, Split};
use crate::models::{self, LinbpUse};
use crate::spec::{DataSpec, ImagesRef, PlannedRun, StageSpec, WeightsRef};
use crate::stage::{check_attacks, linbp_plan, made_before, model_config, stem};
use crate::weights;
use crate::{Error, Result};

/// The classes of a model that is built only to be looked at.
const CLASSES: usize = 10;

/// Checks that the files which the runs read are there and can be read: one image of each data set, and what each weights
/// file says of its tensors.
///
/// # Errors
/// All that is missing, one line each.
pub fn check_data(runs: &[PlannedRun]) -> Result<()> {
    let mut faults = Faults::default();
    // Each data set with the number of its classes, where it could be read.
    let mut seen: Vec<(DataSpec, Option<usize>)> = Vec::new();
    let mut files = BTreeSet::new();
    let stages = stages(runs);
    for stage in &stages {
        if let Some(spec) = &stage.data
            && let Some(ImagesRef::File(path)) = &spec.adversarial
            && files.insert(path)
        {
            faults.note(made_before(spec, path));
        }
        if let Some(spec) = stage
            .data
            .as_ref()
            .filter(|spec| spec.adversarial.is_none())
            && !spec.kind.source().is_generated()
        {
            let same = |other: &DataSpec| (other.kind, &other.dir) == (spec.kind, &spec.dir);
            let known = seen.iter().find(|(other, _)| same(other));
            let classes = match known {
                Some((_, classes)) => *classes,
                None => {
                    let source = Source {
                        limit: Some(1),
                        image_size: spec.image_size,
                        ..Source::new(spec.kind.source(), spec.dir.as_deref())
                    };
                    let one = data::load(&source, Split::Test);
                    let classes = faults.note(one.map(|one| one.classes.len()));
                    seen.push((spec.clone(), classes));
                    classes
                }
            };
            if let Some(classes) = classes {
                faults.note(check_attacks(stage, classes));
            }
        }
        if let Some(WeightsRef::File(path)) = stage
            .model
            .as_ref()
            .and_then(|model| model.weights.as_ref())
            && files.insert(path)
        {
            if faults.note(weights::inspect(path)).is_some() {
                faults.note(stem(stage, Some(path)));
            }
        }
    }
    faults.end(Error::Failed)
}

/// Builds each model once, to see that it takes the images and that `linbp.layers` names activations that it has; and each
/// attack, to see that it can do with as many classes as there are.
///
/// # Errors
/// Every fault, one line each.
pub fn check_models(runs: &[PlannedRun]) -> Result<()> {
    let mut faults = Faults::default();
    let mut seen = BTreeSet::new();
    let stages = stages(runs);
    for stage in &stages {
        let (Some(model), Some(data)) = (&stage.model, &stage.data) else {
            continue;
        };
        if let Some(classes) = data.kind.source().classes() {
            faults.note(check_attacks(stage, classes.len()));
        }
        let shape = match (data.kind.source().shape(), data.image_size) {
            (Some(shape), _) => shape,
            (None, Some([height, width])) => [3, height, width],
            (None, None) => continue,
        };
        let uses = [
            (stage.linbp.train, LinbpUse::Train),
            (stage.linbp.attack, LinbpUse::Attack),
        ];
        let uses: Vec<LinbpUse> = uses
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, r#use)| r#use)
            .collect();
        let words = format!(
            "{} {:?} {shape:?} {:?} {uses:?}",
            model.arch, model.widths, stage.linbp
        );
        if !seen.insert(words) {
            continue;
        }
        let outline = model_config(stage, shape, CLASSES)
            .and_then(|config| models::outline(&model.arch, &config));
        let network = match outline {
            Ok(network) => network,
            Err(error) => {
                faults.note::<()>(Err(error));
                continue;
            }
        };
        for r#use in uses {
            faults.note(linbp_plan(&model.arch, &network, &stage.linbp, r#use));
        }
    }
    faults.end(Error::Spec)
}

/// The stages of all runs, each once a model.
fn stages(runs: &[PlannedRun]) -> Vec<StageSpec> {
    let stages = runs.iter().flat_map(|run| &run.spec.stages);
    stages.flat_map(StageSpec::by_model).collect()
}

/// The faults of a check, each once.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    /// What there is, where it is no fault.
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(found) => return Some(found),
            Err(error) => error,
        };
        let line = error.to_string();
        if !self.0.contains(&line) {
            self.0.push(line);
        }
        None
    }

    fn end(self, kind: fn(String) -> Error) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(kind(self.0.join("\n")))
        }
    }
}
