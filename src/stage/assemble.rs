//! From a stage's settings to the things that they name: data, network, attack, optimizer, schedule.

mod attacks;
mod weights;

pub(super) use attacks::{attacks, threat};
pub use attacks::{check_attacks, check_features};
pub(crate) use weights::origin;
pub(super) use weights::path as weights_path;
pub use weights::{check_weights, moment_weights, stem};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};

use super::context::StageContext;
use crate::attacks::{Attack, ModelMode};
use crate::data::{self, DataSpec, Dataset, Expected, ImagesRef, Source, Split, image_folder};
use crate::data::{DeviceDataset, Extra, ExtraSpec, validation};
use crate::experiment::{ModelUse, TrainTask};
use crate::models::{self, Arch, Form, LinbpUse, ModelConfig};
use crate::models::{
    LinbpSpec, LinbpVariant, MaxPoolGradient, ModelSpec, Moment, Rectifier, WeightsRef,
};
use crate::nn::{BackwardPlan, Mode, Network, Surrogate};
use crate::ops::activation::Activation;
use crate::ops::image::Normalize;
use crate::run::adversarial_images;
use crate::spec::StageRef;
use crate::train::Adversary;
use crate::{Error, Result};

/// The images of a split, or another stage's adversarial images where the spec asks for them.
pub(crate) fn dataset(
    ctx: &StageContext<'_>,
    spec: &DataSpec,
    split: Split,
) -> Result<Arc<Dataset>> {
    if let (Split::Test, Some(images)) = (split, &spec.adversarial) {
        return Ok(Arc::new(made_before(spec, &images_path(ctx, images)?)?));
    }
    let source = Source {
        decoded: ctx.decoded(split),
        ..data_source(spec, split)
    };
    Ok(Arc::new(data::load(&source, split)?))
}

/// Where images are that were made before.
pub(super) fn images_path(ctx: &StageContext<'_>, images: &ImagesRef) -> Result<PathBuf> {
    Ok(match images {
        ImagesRef::Stage(StageRef(id)) => adversarial_images(input(ctx, id)?),
        ImagesRef::File(path) => path.clone(),
    })
}

/// The training images on the run's device, with the further ones that the spec names, and the validation images that are held
/// back of them, where the spec asks for some.
///
/// # Errors
/// Files that cannot be read or hold something else, a card without room, no image left to train on.
pub(crate) fn training_set(
    ctx: &StageContext<'_>,
    spec: &DataSpec,
) -> Result<(DeviceDataset, Option<Arc<Dataset>>)> {
    let mut train = dataset(ctx, spec, Split::Train)?;
    let mut held = None;
    if let Some(count) = spec.validation {
        let (left, back) = validation::hold_back(&train, count, ctx.seed)?;
        (train, held) = (Arc::new(left), Some(Arc::new(back)));
    }
    let placed = match extra(spec, train.shape, train.classes.len())? {
        Some(extra) => DeviceDataset::with_extra(train, ctx.device, extra),
        None => DeviceDataset::new(train, ctx.device)?,
    };
    Ok((placed, held))
}

/// The further images that the section names, for a set of images of shape (C, H, W) in so many classes.
///
/// # Errors
/// A file that cannot be read or holds something else.
pub fn extra(spec: &DataSpec, shape: [usize; 3], classes: usize) -> Result<Option<Extra>> {
    let open = |extra: &ExtraSpec| Extra::open(&extra.file, shape, classes, extra.fraction);
    spec.extra.as_ref().map(open).transpose()
}

/// Images that were made before, in the file at `path`, of the kind that the section names.
///
/// # Errors
/// A file that cannot be read or holds something else.
pub fn made_before(spec: &DataSpec, path: &Path) -> Result<Dataset> {
    let kind = spec.kind;
    let classes = match kind.class_names() {
        Some(classes) => classes,
        // The files say; one image is enough to ask them.
        None => {
            let source = Source {
                limit: Some(1),
                ..data_source(spec, Split::Test)
            };
            data::load(&source, Split::Test)?.classes
        }
    };
    let shape = kind.shape;
    let expected = Expected {
        classes: &classes,
        channels: shape.map_or(image_folder::CHANNELS, |[channels, ..]| channels),
        size: shape
            .map(|[_, height, width]| [height, width])
            .or(spec.image_size),
    };
    let set = data::read_adversarial(path, expected)?;
    Ok(match spec.test_limit {
        Some(limit) => set.limit(limit),
        None => set,
    })
}

/// Where the images of a split come from.
pub fn data_source(spec: &DataSpec, split: Split) -> Source {
    Source {
        limit: match split {
            Split::Train => spec.train_limit,
            Split::Test => spec.test_limit,
        },
        image_size: spec.image_size,
        resize: spec.resize,
        ..Source::new(spec.kind, spec.dir.as_deref())
    }
}

fn input<'a>(ctx: &StageContext<'a>, id: &str) -> Result<&'a Path> {
    let folder = ctx.inputs.get(id).map(|path| path.as_path());
    folder.ok_or_else(|| Error::failed(format!("the stage \"{id}\" has no result to refer to")))
}

/// A network of the stage for images like those of `dataset`, with the weights that the spec names.
pub(crate) fn network(
    ctx: &StageContext<'_>,
    used: &ModelUse<'_>,
    dataset: &Dataset,
) -> Result<Network> {
    let path = weights::path(ctx, used.model)?;
    let form = (dataset.shape, dataset.classes.len());
    network_from(used, path.as_deref(), form, ctx.device)
}

/// The network for images of the given form, with the weights in the file at `weights`.
///
/// # Errors
/// Weights that do not fit it, or do not say which of several networks they belong to.
pub fn network_from(
    used: &ModelUse<'_>,
    weights: Option<&Path>,
    (image, classes): Form,
    device: &Device,
) -> Result<Network> {
    let spec = used.model;
    let config = ModelConfig {
        device: device.clone(),
        stem: stem(used, weights)?,
        ..model_config(used, image, classes)?
    };
    let network = models::build(&spec.arch, &config)?;
    if let Some(path) = weights {
        weights::load(path, spec, &config, &network)?;
    }
    Ok(network)
}

/// What a model is built from, for images of shape (channels, height, width).
///
/// # Errors
/// An activation that the architecture does not have.
pub fn model_config(used: &ModelUse<'_>, image: [usize; 3], classes: usize) -> Result<ModelConfig> {
    let spec = used.model;
    let normalize = used.data.normalize.statistics();
    Ok(ModelConfig {
        image,
        classes,
        dropout: spec.dropout,
        widths: spec.widths.clone(),
        layers: spec.layers.clone(),
        activation: spec.activation.map(|rectifier| match rectifier {
            Rectifier::Relu => Activation::Relu,
            Rectifier::Silu => Activation::Silu,
        }),
        stem: spec.stem,
        normalize: normalize.map(|(mean, std)| Normalize {
            mean: mean.to_vec(),
            std: std.to_vec(),
        }),
        seed: used.seed,
        dtype: DType::F32,
        device: Device::Cpu,
    })
}

/// What a model is called in errors: its architecture, and where its weights are from.
pub(super) fn model_name(spec: &ModelSpec) -> String {
    match &spec.weights {
        None if Arch::find(&spec.arch).is_ok_and(|arch| arch.has_weights()) => spec.arch.clone(),
        None => format!("{} with random weights", spec.arch),
        Some(WeightsRef::File(path)) => format!("{} with {}", spec.arch, path.display()),
        Some(WeightsRef::Stage(id, Moment::Final)) => {
            format!("{} of the stage \"{id}\"", spec.arch)
        }
        Some(WeightsRef::Stage(id, moment @ (Moment::Ema | Moment::Swa))) => {
            format!("{} of the {moment} of the stage \"{id}\"", spec.arch)
        }
        Some(WeightsRef::Stage(id, moment)) => {
            format!(
                "{} of the {moment} checkpoint of the stage \"{id}\"",
                spec.arch
            )
        }
    }
}

/// The activations that are linear backwards in training.
pub(crate) fn train_plan(used: &ModelUse<'_>, network: &Network) -> Result<BackwardPlan> {
    plan(used, network, used.linbp.train, LinbpUse::Train)
}

/// The activations that are linear backwards in attacks.
pub(crate) fn attack_plan(used: &ModelUse<'_>, network: &Network) -> Result<BackwardPlan> {
    plan(used, network, used.linbp.attack, LinbpUse::Attack)
}

fn plan(used: &ModelUse<'_>, network: &Network, on: bool, r#use: LinbpUse) -> Result<BackwardPlan> {
    if !on {
        return Ok(BackwardPlan::none());
    }
    linbp_plan(&used.model.arch, network, &used.linbp, r#use)
}

/// The plan of the section for one of its uses, whether that is on or off.
///
/// # Errors
/// Names that match no activation, and rules for what the network does not have.
pub fn linbp_plan(
    arch: &str,
    network: &Network,
    spec: &LinbpSpec,
    r#use: LinbpUse,
) -> Result<BackwardPlan> {
    let plan = models::linear_plan(arch, network, spec.layers.of(r#use), r#use)?;
    let plan = match spec.variant.of(r#use) {
        LinbpVariant::Plain => plan,
        LinbpVariant::Rescaled => models::rescaled(arch, network, plan)?,
        LinbpVariant::Silu => plan.with_surrogate(Surrogate::Silu),
        LinbpVariant::Softplus => plan.with_surrogate(Surrogate::Softplus { beta: spec.beta }),
    };
    let plan = models::decayed(arch, network, plan, *spec.branch_decay.of(r#use))?;
    match spec.max_pool.of(r#use) {
        MaxPoolGradient::Max => Ok(plan),
        MaxPoolGradient::Softmax => {
            models::softened(arch, network, plan, spec.max_pool_temperature)
        }
    }
}

/// The attack of a training on its network, which tells so many classes apart.
pub(crate) fn adversary(
    task: &TrainTask,
    used: &ModelUse<'_>,
    network: &Network,
    classes: usize,
) -> Result<Adversary> {
    let (attack, mode) = training_attack(task, classes)?;
    let plan = attack_plan(used, network)?;
    Ok(Adversary::new(attack, plan, mode))
}

/// Whether the training's objective takes the images that its data gives.
///
/// # Errors
/// Images that are mixed in pairs, for an objective that takes one label an image.
pub fn check_mixing(task: &TrainTask) -> Result<()> {
    let objective = &task.train.objective;
    let mut mixing = task.data.augment.iter().filter(|one| one.mixes());
    match mixing.next() {
        Some(mixing) if !objective.takes_mixed() => Err(Error::spec(format!(
            "data.augment: \"{}\" gives images two labels, and the objective \"{}\" takes one: leave it out, or train by \
             \"clean\" or \"trades\"",
            mixing.kind(),
            objective.kind(),
        ))),
        _ => Ok(()),
    }
}

/// The attack that a training makes its images by, and the network's mode meanwhile.
fn training_attack(task: &TrainTask, classes: usize) -> Result<(Box<dyn Attack>, Mode)> {
    let settings = task.attack.as_ref();
    let settings = settings.ok_or_else(|| Error::spec("[attack]: this task needs it"))?;
    let mut attacks = attacks(settings, &settings.entry()?, &task.data, classes)?;
    // An ensemble is no attack to train on, so there is one.
    let attack = attacks.swap_remove(0);
    let mode = match settings.head.model_mode {
        ModelMode::Eval => Mode::Eval,
        ModelMode::Train => Mode::Train,
    };
    if mode == Mode::Train && attack.steps().is_some_and(|steps| steps.early_stop) {
        return Err(Error::spec(
            "attack.early_stop: needs attack.model_mode = \"eval\": in training mode an image's gradient depends on the others of its \
             batch, which would leave it",
        ));
    }
    let objective = &task.train.objective;
    objective.check_attack(attack.as_ref(), mode)?;
    Ok((attack, mode))
}
