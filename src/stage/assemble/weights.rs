//! From `model.weights` to a network that has them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::{input, model_config, section};
use crate::models;
use crate::nn::Network;
use crate::run::{final_weights, inspect_weights, read_weights, stage_checkpoint};
use crate::spec::{ModelSpec, Moment, StageSpec, WeightsRef};
use crate::stage::StageContext;
use crate::{Error, Result};

/// Gives the network the weights that the spec names; none: it keeps its initial ones.
pub(super) fn load(ctx: &StageContext<'_>, spec: &ModelSpec, network: &Network) -> Result<()> {
    let (from, mut state) = match &spec.weights {
        None => return Ok(()),
        Some(WeightsRef::File(path)) => (path.clone(), read_weights(path)?),
        Some(WeightsRef::Stage(id, Moment::Final)) => {
            let path = final_weights(input(ctx, id)?);
            let state = read_weights(&path)?;
            (path, state)
        }
        Some(WeightsRef::Stage(id, moment)) => {
            stage_checkpoint(input(ctx, id)?, *moment == Moment::Best)?
        }
    };
    models::adapt(&spec.arch, &mut state)?;
    let words = from.display().to_string();
    let surplus = network
        .load(&state)
        .map_err(|error| unfit(&words, spec, &error))?;
    if !surplus.is_empty() {
        tracing::warn!(
            "{words}: {} tensors that {} has no use for: {}",
            surplus.len(),
            spec.arch,
            surplus.join(", ")
        );
    }
    Ok(())
}

/// Whether the file of weights that the stage's model names, if it names one, is there and has tensors of the names and
/// shapes that [`load`] will ask for. `image` and `classes`: those of the data. No tensor is read.
///
/// # Errors
/// As a run of the stage fails.
pub fn check_weights(stage: &StageSpec, image: [usize; 3], classes: usize) -> Result<()> {
    let spec = section(&stage.model, "model")?;
    let Some(WeightsRef::File(path)) = &spec.weights else {
        return Ok(());
    };
    let network = models::outline(&spec.arch, &model_config(stage, image, classes)?)?;
    let largest = network.parameters().iter().map(|p| p.tensor().elem_count());
    let largest = largest.max().unwrap_or(0);
    let mut state = BTreeMap::new();
    let mut adaptable = true;
    for found in inspect_weights(path)? {
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
        models::adapt(&spec.arch, &mut state)?;
    }
    network
        .fit(&state)
        .map(drop)
        .map_err(|error| unfit(&path.display().to_string(), spec, &error))
}

fn unfit(path: &str, spec: &ModelSpec, error: &Error) -> Error {
    Error::failed(format!(
        "{path}: these weights do not fit model.arch = \"{}\": {error}",
        spec.arch
    ))
}
