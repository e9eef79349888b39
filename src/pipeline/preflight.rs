//! What can be known to fail before anything runs: missing data and weights, layers that match nothing, attacks that
//! ask for more classes than there are.

use std::collections::BTreeSet;

use crate::data::{self, Source, Split};
use crate::data::{DataSpec, ImagesRef};
use crate::experiment::{ModelUse, PlannedRun, StageSpec};
use crate::models::{self, Layers, LinbpUse};
use crate::models::{Arch, WeightsRef};
use crate::nn::Network;
use crate::run::inspect_weights;
use crate::spec::TaskKind;
use crate::stage::{
    check_attacks, check_features, check_mixing, check_weights, extra, linbp_plan, made_before,
    model_config,
};
use crate::{Error, Result};

/// The shape of a data set's images (channels, height, width), and the number of its classes.
type Form = ([usize; 3], usize);

/// Checks that the files which the runs read are there and can be read: one image of each data set, and of each file of
/// weights whether its tensors fit the model, by their names and shapes.
///
/// # Errors
/// All that is missing or does not fit, one line each.
pub fn check_data(runs: &[PlannedRun]) -> Result<()> {
    let mut faults = Faults::default();
    // Each data set with its form, where it could be read.
    let mut seen: Vec<(&DataSpec, Option<Form>)> = Vec::new();
    let mut checked = BTreeSet::new();
    let mut files = BTreeSet::new();
    for stage in stages(runs) {
        let Some(spec) = stage.task.data() else {
            continue;
        };
        for images in stage.task.adversarial() {
            // Which images a folder should have, the data says, which is not read as a whole here.
            let takes_folders = stage.task.kind() == TaskKind::Transfer;
            if let ImagesRef::File(path) = images
                && !(takes_folders && path.is_dir())
                && files.insert(path)
            {
                faults.note(made_before(spec, path));
            }
        }
        let is_read = spec.adversarial.is_none() && !spec.kind.is_generated();
        let form = if is_read {
            let same = |other: &&DataSpec| {
                (other.kind, &other.dir, other.image_size, other.resize)
                    == (spec.kind, &spec.dir, spec.image_size, spec.resize)
            };
            let known = seen.iter().find(|(other, _)| same(other));
            let form = match known {
                Some((_, form)) => *form,
                None => {
                    let source = Source {
                        limit: Some(1),
                        image_size: spec.image_size,
                        resize: spec.resize,
                        ..Source::new(spec.kind, spec.dir.as_deref())
                    };
                    let one = data::load(&source, Split::Test);
                    let form = faults.note(one.map(|one| (one.shape, one.classes.len())));
                    seen.push((spec, form));
                    form
                }
            };
            if let Some((_, classes)) = form {
                faults.note(check_attacks(&stage.task, classes));
            }
            form
        } else {
            None
        };
        let form = form.or_else(|| {
            let classes = spec.kind.classes?.len();
            Some((known_shape(spec)?, classes))
        });
        if let (Some((shape, classes)), Some(_)) = (form, stage.task.training()) {
            faults.note(extra(spec, shape, classes));
        }
        for used in stage.models() {
            // Where the number of classes is known without the data it has been compared before.
            if let (Some(_), None, Some((shape, classes))) =
                (&used.model.layers, spec.kind.classes, form)
                && faults.note(outline_for(&used, shape, classes)).is_none()
            {
                continue;
            }
            let entry = used.model.weights_entry.as_deref();
            let Some(WeightsRef::File(path)) = &used.model.weights else {
                continue;
            };
            if !checked.insert(format!("{:?} {form:?}", used.model)) {
                continue;
            }
            match form {
                Some((shape, classes)) => faults.note(check_weights(&used, shape, classes)),
                // What they have to fit is not known: they are there, at least.
                None => faults.note(inspect_weights(path, entry).map(drop)),
            };
        }
    }
    faults.end(Error::Failed)
}

/// The shape of the images, where the kind of the data or the spec says it.
pub(super) fn known_shape(data: &DataSpec) -> Option<[usize; 3]> {
    match (data.kind.shape, data.image_size) {
        (Some(shape), _) => Some(shape),
        (None, Some([height, width])) => Some([3, height, width]),
        (None, None) => None,
    }
}

/// Builds each model once, to see that it takes the images and that `linbp.layers`, `train.awp.layers` and the `layer` of attacks name what it has; and each
/// attack, to see that it can do with as many classes as there are.
///
/// What the models remark of themselves, one line each.
///
/// # Errors
/// Every fault, one line each.
pub fn check_models(runs: &[PlannedRun]) -> Result<Vec<String>> {
    let (mut faults, mut remarks) = (Faults::default(), Vec::new());
    let mut seen = BTreeSet::new();
    for stage in stages(runs) {
        let data = stage.task.data();
        if let Some(classes) = data.and_then(|data| data.kind.classes) {
            faults.note(check_attacks(&stage.task, classes.len()));
        }
        if let Some(training) = stage.task.training() {
            faults.note(check_mixing(training));
        }
        let Some(shape) = data.and_then(known_shape) else {
            continue;
        };
        for used in stage.models() {
            let (model, linbp) = (used.model, &used.linbp);
            let uses = [
                (linbp.train, LinbpUse::Train),
                (linbp.attack, LinbpUse::Attack),
            ];
            let uses = uses.into_iter().filter(|(on, _)| *on);
            let uses: Vec<LinbpUse> = uses.map(|(_, r#use)| r#use).collect();
            let kind = used.data.kind.name;
            let training = stage.task.training();
            let awp = training.and_then(|task| task.train.awp.as_ref());
            let words = format!(
                "{} {:?} {:?} {:?} {kind} {shape:?} {linbp:?} {uses:?} {awp:?} {:?}",
                model.arch,
                model.widths,
                model.layers,
                used.data.normalize,
                stage.task.attacks()
            );
            if !seen.insert(words) {
                continue;
            }
            if let Some(network) = faults.note(outline(&used, shape)) {
                for remark in network.remarks() {
                    if !remarks.contains(remark) {
                        remarks.push(remark.clone());
                    }
                }
                for r#use in uses {
                    // What is searched for is found in a run.
                    if *linbp.layers.of(r#use) != Layers::Search {
                        faults.note(linbp_plan(&model.arch, &network, linbp, r#use));
                    }
                }
                let classes = data.and_then(|data| data.kind.classes);
                if let Some(classes) = classes.filter(|_| stage.task.is_attacked(&used.key)) {
                    faults.note(check_features(&stage.task, &network, classes.len()));
                }
                faults.note(awp.map_or(Ok(Vec::new()), |awp| awp.weights(&network)));
            }
        }
    }
    faults.end(Error::Spec).map(|()| remarks)
}

/// A model to be looked at, for images of that shape.
///
/// # Errors
/// An architecture that does not take them, layers that do not fit.
pub(super) fn outline(used: &ModelUse<'_>, shape: [usize; 3]) -> Result<Network> {
    let classes = used.data.kind.classes.map(<[_]>::len);
    // As many as the layers of a spec are made for, until the data is read.
    let layers = used.model.layers.as_deref();
    let made_for = || models::layers_outputs(layers?, shape);
    match classes.or_else(made_for) {
        Some(classes) => outline_for(used, shape, classes),
        None => outline_for(used, shape, Arch::find(&used.model.arch)?.form()?.1),
    }
}

fn outline_for(used: &ModelUse<'_>, shape: [usize; 3], classes: usize) -> Result<Network> {
    let config = model_config(used, shape, classes)?;
    let layers = format!("{}.layers", used.key);
    models::outline(&used.model.arch, &config)
        // A transfer describes its models elsewhere.
        .map_err(|error| error.each_line(|line| line.replacen("model.layers", &layers, 1)))
}

/// The stages of all runs.
pub(super) fn stages(runs: &[PlannedRun]) -> impl Iterator<Item = &StageSpec> {
    runs.iter().flat_map(|run| &run.spec.stages)
}

/// The faults of a check, each once.
#[derive(Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    /// What there is, where it is no fault.
    pub fn note<T>(&mut self, result: Result<T>) -> Option<T> {
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

    pub fn end(self, kind: fn(String) -> Error) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(kind(self.0.join("\n")))
        }
    }
}
