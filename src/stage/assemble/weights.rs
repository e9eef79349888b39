//! The weights that a stage's model starts from: where they are, which network they belong to, how they get into it.

use std::path::{Path, PathBuf};

use super::{input, section};
use crate::models::{self, Origin, Stem, stem_of_weights};
use crate::nn::Network;
use crate::run::final_weights;
use crate::spec::{ModelSpec, StageSpec, WeightsRef};
use crate::stage::StageContext;
use crate::weights;
use crate::{Error, Result};

/// The file of the weights, if the spec names any.
pub(super) fn path(ctx: &StageContext<'_>, spec: &ModelSpec) -> Result<Option<PathBuf>> {
    Ok(match &spec.weights {
        None => None,
        Some(WeightsRef::File(path)) => Some(path.clone()),
        Some(WeightsRef::Stage(id)) => Some(final_weights(input(ctx, id)?)),
    })
}

/// The stem of the stage's model, whose weights are in the file at `weights`.
///
/// # Errors
/// Weights from outside that do not say which of two stems they were trained with while the spec does not either, and
/// weights of another network.
pub fn stem(stage: &StageSpec, weights: Option<&Path>) -> Result<Option<Stem>> {
    let spec = section(&stage.model, "model")?;
    let Some(path) = weights else {
        return Ok(spec.stem);
    };
    let origin = Origin::read(&weights::metadata(path)?);
    if origin.is_none() && matches!(spec.weights, Some(WeightsRef::Stage(_))) {
        // A stage's model is known from the spec, which is where `stem` comes from.
        return Ok(spec.stem);
    }
    stem_of_weights(&spec.arch, &key(stage), spec.stem, origin.as_ref())
        .map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

/// The section that describes the stage's model.
fn key(stage: &StageSpec) -> String {
    let models = stage.transfer.iter().flat_map(|transfer| &transfer.models);
    let mut names = models.filter(|(_, model)| Some(*model) == stage.model.as_ref());
    match names.next() {
        Some((name, _)) => format!("transfer.models.{name}"),
        None => "model".to_owned(),
    }
}

/// What the weights that the stage leaves say of their network.
pub fn origin(ctx: &StageContext<'_>) -> Result<Origin> {
    let spec = section(&ctx.spec.model, "model")?;
    let path = path(ctx, spec)?;
    Origin::new(&spec.arch, stem(ctx.spec, path.as_deref())?)
}

/// Loads the weights in the file at `path` into a network of `arch`.
pub(super) fn load(path: &Path, arch: &str, network: &Network) -> Result<()> {
    let mut state = weights::load_tensors(path)?;
    models::adapt(arch, &mut state)?;
    let surplus = network.load(&state).map_err(|error| {
        Error::failed(format!(
            "{}: these weights do not fit model.arch = \"{arch}\":\n{error}",
            path.display(),
        ))
    })?;
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
