//! The network that a run left, or that a spec names, read back with its weights.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use candle_core::Device;

use super::preflight::known_shape;
use crate::data::{self, Source, Split};
use crate::experiment::{ExperimentSpec, ModelUse, StageSpec, plan};
use crate::models::{Arch, Form, ModelSpec, Moment, Origin, Rectifier, WeightsRef};
use crate::nn::Network;
use crate::run::{RunRecord, files, weights_file};
use crate::spec::Request;
use crate::stage::{data_source, moment_weights, network_from, stem};
use crate::{Error, Result};

/// A network with what its file of weights does not say.
pub struct FoundNetwork {
    pub network: Network,
    /// Shape of its images: channels, height, width.
    pub image: [usize; 3],
    pub origin: Origin,
    /// Where its weights are from; none: from the file that describes it.
    pub weights: Option<PathBuf>,
}

/// The network of the run in the folder `path`, or of the spec in the file there.
///
/// `stage`: of which stage, where there are several to choose from. `moment`: the weights of a training that are taken.
///
/// # Errors
/// What is no run and no spec, several stages to choose from, weights that are not there yet.
pub fn network_of(path: &Path, stage: Option<&str>, moment: Moment) -> Result<FoundNetwork> {
    let fault = |why: String| Error::failed(format!("{}: {why}", path.display()));
    let (spec, record) = match path.is_dir() {
        true => (path.join(files::SPEC), RunRecord::read(path)?),
        false => (path.to_owned(), None),
    };
    let request = Request {
        spec,
        ..Request::default()
    };
    let mut runs = plan(&request)?.runs;
    let (Some(run), true) = (runs.pop(), runs.is_empty()) else {
        return Err(fault("is a sweep; name one of its runs".into()));
    };
    let chosen = choose(&run.spec, stage).map_err(fault)?;
    let used = only_model(chosen).map_err(fault)?;
    let folder = |id: &str| {
        let stages = record.iter().flat_map(|record| &record.stages);
        let stage = stages.into_iter().find(|stage| stage.id == id);
        let stage = stage.ok_or_else(|| {
            fault(format!(
                "the stage \"{id}\" trains the network; name its run, not the spec"
            ))
        })?;
        Ok::<_, Error>(stage_folder(path, &stage.folder))
    };
    let of_stage = |id: &str, moment: Moment| {
        let folder = folder(id)?;
        let file = moment_weights(&folder, moment);
        match weights_file(&file).is_file() {
            true => Ok(file),
            false => Err(fault(format!(
                "the stage \"{id}\" has left no {moment} weights ({}); {}",
                file.display(),
                match moment {
                    Moment::Final => "let it finish, or take --checkpoint best",
                    _ => "let it finish, or leave --checkpoint out",
                }
            ))),
        }
    };
    let model = used.model;
    let weights = match (chosen.task.training(), &model.weights) {
        (Some(_), _) => Some(of_stage(&chosen.id, moment)?),
        (None, Some(WeightsRef::Stage(id, moment))) => Some(of_stage(id, *moment)?),
        (None, Some(WeightsRef::File(path))) => Some(path.clone()),
        (None, None) if Arch::find(&model.arch)?.has_weights() => None,
        (None, None) => {
            return Err(fault(format!("its {} has random weights", model.arch)));
        }
    };
    let own = match &model.weights {
        Some(WeightsRef::File(_)) if chosen.task.training().is_none() => model.clone(),
        // Weights that a stage left have the network's own names.
        _ => ModelSpec {
            weights: weights.clone().map(WeightsRef::File),
            weights_entry: None,
            rename: BTreeMap::new(),
            ..model.clone()
        },
    };
    let used = ModelUse {
        model: &own,
        ..used
    };
    let form = form(&used)?;
    let activation = own.activation.map(Rectifier::name);
    let origin = Origin::new(&own.arch, stem(&used, weights.as_deref())?, activation)?;
    Ok(FoundNetwork {
        network: network_from(&used, weights.as_deref(), form, &Device::Cpu)?,
        image: form.0,
        origin: origin.with_layers(own.layers.clone()),
        weights,
    })
}

/// The folder of a stage, which its record names relative to the run's, as a user would write it.
fn stage_folder(run: &Path, relative: &str) -> PathBuf {
    let mut folder = run.to_owned();
    for part in Path::new(relative).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                folder.pop();
            }
            part => folder.push(part),
        }
    }
    folder
}

/// The stage called `id`; or the one that trains, or that has a model.
fn choose<'a>(spec: &'a ExperimentSpec, id: Option<&str>) -> Result<&'a StageSpec, String> {
    let ids = |stages: &[&StageSpec]| {
        let ids = stages.iter().map(|stage| stage.id.as_str());
        ids.collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&StageSpec> = spec.stages.iter().collect();
    if let Some(id) = id {
        let found = all.iter().find(|stage| stage.id == id);
        return found
            .copied()
            .ok_or_else(|| format!("there is no stage \"{id}\"; the stages are {}", ids(&all)));
    }
    let those = |wanted: fn(&StageSpec) -> bool| {
        let stages = all.iter().copied().filter(|stage| wanted(stage));
        stages.collect::<Vec<_>>()
    };
    let trained = those(|stage| stage.task.training().is_some());
    let with_model = those(|stage| stage.task.models().len() == 1);
    match (trained.as_slice(), with_model.as_slice()) {
        ([only], _) | ([], [only]) => Ok(only),
        ([], []) => Err("none of its stages has a network".into()),
        ([], several) | (several, _) => Err(format!(
            "several stages have a network: {}; choose one with --stage",
            ids(several)
        )),
    }
}

fn only_model(stage: &StageSpec) -> Result<ModelUse<'_>, String> {
    let mut models = stage.models();
    match (models.pop(), models.is_empty()) {
        (Some(used), true) => Ok(used),
        (found, _) => Err(format!(
            "the stage \"{}\" has {} networks, one was expected; name the stage that trains it with --stage",
            stage.id,
            models.len() + usize::from(found.is_some())
        )),
    }
}

/// The shape of the images and the number of classes, from the data where nothing else says them.
fn form(used: &ModelUse<'_>) -> Result<Form> {
    let data = used.data;
    if let (Some(shape), Some(classes)) = (known_shape(data), data.kind.classes) {
        return Ok((shape, classes.len()));
    }
    let source = Source {
        limit: Some(1),
        ..data_source(data, Split::Test)
    };
    let one = data::load(&source, Split::Test)?;
    Ok((one.shape, one.classes.len()))
}
