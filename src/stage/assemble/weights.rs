//! The weights that a stage's model starts from: where they are, which network they belong to, how they get into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::{input, model_config};
use crate::experiment::ModelUse;
use crate::models::{self, ModelConfig, Origin, Stem, check_layers, stem_of_weights};
use crate::models::{ModelSpec, Moment, Rectifier, WeightsRef};
use crate::nn::Network;
use crate::ops::image::Normalize;
use crate::run::{
    average_weights, best_checkpoint, final_weights, inspect_weights, last_checkpoint,
    read_weights, weights_file,
};
use crate::stage::context::StageContext;
use crate::weights::{self, Tensors, names};
use crate::{Error, Result};

/// The file of the weights, or what names it, if the spec names any.
pub(in crate::stage) fn path(ctx: &StageContext<'_>, spec: &ModelSpec) -> Result<Option<PathBuf>> {
    Ok(match &spec.weights {
        None => None,
        Some(WeightsRef::File(path)) => Some(path.clone()),
        Some(WeightsRef::Stage(id, moment)) => Some(moment_weights(input(ctx, id)?, *moment)),
    })
}

/// The weights of a training stage in `folder` at a moment: a file, or what names it.
pub fn moment_weights(folder: &Path, moment: Moment) -> PathBuf {
    match moment {
        Moment::Final => final_weights(folder),
        Moment::Best => best_checkpoint(folder),
        Moment::Last => last_checkpoint(folder),
        Moment::Ema | Moment::Swa => average_weights(folder, moment.name()),
    }
}

/// The stem of a model, whose weights are in the file at `weights`.
///
/// # Errors
/// Weights from outside that do not say which of two stems they were trained with while the spec does not either, and
/// weights of another network.
pub fn stem(used: &ModelUse<'_>, weights: Option<&Path>) -> Result<Option<Stem>> {
    let spec = used.model;
    let Some(path) = weights else {
        return Ok(spec.stem);
    };
    let origin = Origin::read(&weights::metadata(&weights_file(path))?);
    if origin.is_none() && matches!(spec.weights, Some(WeightsRef::Stage(..))) {
        // A stage's model is known from the spec, which is where `stem` comes from.
        return Ok(spec.stem);
    }
    stem_of_weights(&spec.arch, &used.key, spec.stem, origin.as_ref())
        .and_then(|stem| {
            check_layers(&used.key, spec.layers.as_deref(), origin.as_ref()).map(|()| stem)
        })
        .map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

/// What the weights that the stage leaves say of their network.
pub fn origin(ctx: &StageContext<'_>, used: &ModelUse<'_>) -> Result<Origin> {
    let path = path(ctx, used.model)?;
    let activation = used.model.activation.map(Rectifier::name);
    let origin = Origin::new(&used.model.arch, stem(used, path.as_deref())?, activation)?;
    Ok(origin.with_layers(used.model.layers.clone()))
}

/// Loads the weights in the file at `path` into the network of `config` that `spec` describes.
pub(super) fn load(
    path: &Path,
    spec: &ModelSpec,
    config: &ModelConfig,
    network: &Network,
) -> Result<()> {
    let arch = &spec.arch;
    let origin = Origin::read(&weights::metadata(&weights_file(path))?);
    let here = spec.activation.map_or(Origin::OWN, Rectifier::name);
    // Between stages the spec itself tells, before a run.
    if let (Some(trained), Some(WeightsRef::File(_))) =
        (origin.and_then(|origin| origin.activation), &spec.weights)
        && trained != here
    {
        tracing::warn!(
            "{}: the model was trained with the activation \"{trained}\", and here it has \"{here}\" (model.activation)",
            path.display(),
        );
    }
    let tensors = read_weights(path, spec.weights_entry.as_deref())?;
    let mut tensors = named(path, tensors, spec, network)?;
    if let Some(saved) = names::take_normalisation(&mut tensors, config.image[0]) {
        check_normalisation(path, &saved, models::normalize(arch, config)?.as_ref())?;
    }
    let surplus = network
        .load(&tensors)
        .map_err(|error| unfit(path, arch, &error))?;
    if !surplus.is_empty() {
        tracing::warn!(
            "{}: {} tensors that {arch} has no use for: {}",
            path.display(),
            surplus.len(),
            surplus.join(", ")
        );
    }
    Ok(())
}

/// Brings the names of a file's tensors to those of a network.
fn named(path: &Path, tensors: Tensors, spec: &ModelSpec, network: &Network) -> Result<Tensors> {
    let at = |error: Error| Error::failed(format!("{}: {error}", path.display()));
    let all = network.parameters().iter().chain(network.buffers());
    let expected: Vec<&str> = all.map(|param| param.name()).collect();
    let mut tensors = names::rename(tensors, &spec.rename).map_err(at)?;
    let before = names::fit(&expected, &mut tensors).map_err(at)?;
    models::adapt(&spec.arch, &mut tensors)?;
    let after = names::fit(&expected, &mut tensors).map_err(at)?;
    if let Some(wrapper) = before.or(after) {
        tracing::info!("{}: the network lies under \"{wrapper}\"", path.display());
    }
    Ok(tensors)
}

/// Refuses a normalisation saved in front of a network, unless the spec has the same one.
fn check_normalisation(path: &Path, saved: &[Tensor; 2], spec: Option<&Normalize>) -> Result<()> {
    let numbers = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    let [mean, std] = [numbers(&saved[0])?, numbers(&saved[1])?];
    let near = |a: &[f64], b: &[f32]| {
        a.iter()
            .zip(b)
            .all(|(a, b)| (a - f64::from(*b)).abs() < 1e-3)
    };
    if spec.is_some_and(|spec| near(&spec.mean, &mean) && near(&spec.std, &std)) {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{}: the network was saved behind a normalisation; set data.normalize = {{ mean = {mean:?}, std = {std:?} }}",
        path.display()
    )))
}

/// Whether the file of weights that a model names, if it names one, is there and has tensors of the names and
/// shapes that `load` will ask for. `image` and `classes`: those of the data. No tensor is read.
///
/// # Errors
/// As a run of the stage fails.
pub fn check_weights(used: &ModelUse<'_>, image: [usize; 3], classes: usize) -> Result<()> {
    let spec = used.model;
    let Some(WeightsRef::File(path)) = &spec.weights else {
        return Ok(());
    };
    let found = inspect_weights(path, spec.weights_entry.as_deref())?;
    let config = ModelConfig {
        stem: stem(used, Some(path))?,
        ..model_config(used, image, classes)?
    };
    let network = models::outline(&spec.arch, &config)?;
    let largest = network.parameters().iter().map(|p| p.tensor().elem_count());
    let largest = largest.max().unwrap_or(0);
    let mut state = BTreeMap::new();
    let mut adaptable = true;
    for found in found {
        let count = found
            .shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d));
        adaptable &= count.is_some_and(|count| count <= largest);
        // Names and shapes without numbers, which take no memory.
        let tensor = Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(found.shape)?;
        state.insert(found.name, tensor);
    }
    // A tensor larger than any of the model's does not fit it, and is not to be computed with.
    if adaptable {
        state = named(path, state, spec, &network)?;
    }
    network
        .fit(&state)
        .map(drop)
        .map_err(|error| unfit(path, &spec.arch, &error))
}

fn unfit(path: &Path, arch: &str, error: &Error) -> Error {
    Error::failed(format!(
        "{}: these weights do not fit model.arch = \"{arch}\": {error}",
        path.display()
    ))
}
