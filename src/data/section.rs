//! `[data]`: what a model learns from and is judged on.

use std::path::PathBuf;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::data::{Augmentation, DataKind, KINDS, Split, augment};
use crate::spec::range::{Count, InnerShare, Pair};
use crate::spec::section::{cap, section};
use crate::spec::stage_ref::StageRef;
use crate::spec::task::TaskKind;

/// Where adversarial images come from: another stage, or a file relative to the working directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a file or another stage, written \"@id\""
)]
pub enum ImagesRef {
    Stage(StageRef),
    File(PathBuf),
}

/// Further training images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExtraSpec {
    /// Relative to the working directory.
    pub file: PathBuf,
    /// Their share of each batch, in (0, 1).
    pub fraction: f64,
}

impl ExtraSpec {
    /// That of the papers for CIFAR-10 and a million generated images.
    const FRACTION: f64 = 0.7;
}

impl<'de> Deserialize<'de> for ExtraSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, deny_unknown_fields)]
        enum Written {
            File(PathBuf),
            Table {
                file: PathBuf,
                fraction: Option<InnerShare>,
            },
        }
        let (file, fraction) = match Written::deserialize(deserializer) {
            Ok(Written::File(file)) => (file, None),
            Ok(Written::Table { file, fraction }) => (file, fraction),
            Err(_) => {
                return Err(de::Error::custom(
                    "a .npz file in quotes, or { file = \"...\", fraction = 0.7 } with the share of each batch in (0, 1)",
                ));
            }
        };
        let fraction = fraction.map_or(Self::FRACTION, InnerShare::get);
        Ok(Self { file, fraction })
    }
}

/// What the model's first layer subtracts and divides by, channel by channel. Attacks see pixels in [0, 1] all the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Normalize {
    /// Pixels as they are.
    None,
    /// The statistics customary for a kind of data.
    Of(&'static DataKind),
    /// Statistics of the spec.
    Custom { mean: Vec<f64>, std: Vec<f64> },
}

impl Normalize {
    /// The names that stand for the statistics of a kind of data.
    fn names() -> impl Iterator<Item = &'static str> {
        let known = KINDS.iter().filter(|kind| kind.statistics.is_some());
        known.map(|kind| kind.name)
    }

    /// Mean and standard deviation per channel, where there is a normalisation.
    pub fn statistics(&self) -> Option<(&[f64], &[f64])> {
        match self {
            Self::None => None,
            Self::Of(kind) => kind.statistics.map(|known| (known.mean, known.std)),
            Self::Custom { mean, std } => Some((mean, std)),
        }
    }
}

impl Serialize for Normalize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Of(kind) => kind.serialize(serializer),
            Self::Custom { mean, std } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("mean", mean)?;
                map.serialize_entry("std", std)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Normalize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, deny_unknown_fields)]
        enum Written {
            Name(String),
            Custom { mean: Vec<f64>, std: Vec<f64> },
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Name(name)) if name == "none" => return Ok(Self::None),
            Ok(Written::Name(name)) => {
                let kind = DataKind::find(&name).filter(|kind| kind.statistics.is_some());
                if let Some(kind) = kind {
                    return Ok(Self::Of(kind));
                }
            }
            Ok(Written::Custom { mean, std })
                if mean.len() == std.len()
                    && !mean.is_empty()
                    && mean.iter().chain(&std).all(|number| number.is_finite())
                    && std.iter().all(|&number| number > 0.0) =>
            {
                return Ok(Self::Custom { mean, std });
            }
            _ => {}
        }
        let names: Vec<String> = Self::names().map(|name| format!("\"{name}\", ")).collect();
        Err(de::Error::custom(format!(
            "one of \"none\", {}or {{ mean = [...], std = [...] }} with one finite number per channel and every std above 0",
            names.concat()
        )))
    }
}

/// Held-back images of a trial run: it has 128 training images.
fn shrink_validation(count: &mut Option<usize>) -> bool {
    count.as_mut().is_some_and(|count| cap(count, 32))
}

const BATCH_SIZE: usize = 128;

section! {
    /// What a model learns from and is judged on.
    DataSpec {
        /// Source of the images, a name that `runner data list` lists; required.
        kind: &'static DataKind [required],
        /// Folder of the files, relative to the working directory; required unless the program draws the images.
        dir: Option<PathBuf> [optional],
        /// Height and width of the images of an image-folder; default: the size of its first image.
        image_size: Option<[usize; 2]> [optional as Pair<Count>],
        /// Length that the shorter side of each image of an image-folder is scaled to, as by torchvision's Resize; the middle of
        /// `image_size` is then cut out of it, as by CenterCrop; default: images have their size already.
        resize: Option<usize> [optional as Count],
        /// Random changes of training images in order, each a name, as in ["random-crop", "horizontal-flip"], or a table with
        /// settings, as in { kind = "cutout", size = 16 }; default none.
        augment: Vec<Augmentation> [by augment::read, identity augment::identity],
        /// Further training images, a .npz file with `image` and `label`, or { file = "...", fraction = ... } with their share of each
        /// batch, 0.7 where it is not said; default none.
        extra: Option<ExtraSpec> [optional],
        /// Normalisation inside the model: "none", the customary one of a kind of data by its name, as in "cifar10", or
        /// { mean = [...], std = [...] }; default "none".
        normalize: Normalize [or Normalize::None],
        /// Images per training step; default 128.
        batch_size: usize [as Count, or BATCH_SIZE] smoke 32,
        /// Images per batch of evaluation or attack; default `batch_size`.
        eval_batch_size: usize [as Count, or batch_size.unwrap_or(BATCH_SIZE)] smoke 32,
        /// Use only so many training images, balanced over the classes; default all.
        train_limit: Option<usize> [optional as Count],
        /// Use only so many test images, balanced over the classes; default all.
        test_limit: Option<usize> [optional as Count],
        /// Hold back so many training images, chosen by the seed, for a validation set: it is measured as the test set is, and
        /// decides which checkpoint is the best; default none.
        validation: Option<usize> [optional as Count] smoke shrink_validation,
        /// Judge on adversarial images instead of the test images: those of an attack stage, "@id", or those of a file, .npz
        /// or .safetensors, with images and labels; default none.
        adversarial: Option<ImagesRef> [optional],
    }
    check(fields) {
        if let Some(kind) = kind {
            if kind.is_generated() {
                fields.idle("dir", &mut dir, None, &format!("{kind} is generated, no file is read"));
            } else if !(fields.is_written("adversarial") && kind.classes.is_some()) {
                fields.require_for("dir", &dir, &format!("{kind} is read from a folder"));
            }
            for (key, limit, split) in [
                ("train_limit", &mut train_limit, Split::Train),
                ("test_limit", &mut test_limit, Split::Test),
            ] {
                if let (Some(most), Some(Some(written))) = (kind.most(split), *limit)
                    && written > most
                {
                    fields.idle(key, limit, None, &format!("{kind} has no more than {most} of these images"));
                }
            }
            let most = [kind.most(Split::Train), train_limit.flatten()];
            if let (Some(Some(held)), Some(most)) = (validation, most.into_iter().flatten().min())
                && held >= most
            {
                fields.fault("validation", &format!(
                    "expected fewer than the {most} training images, of which some have to stay, found {held}"
                ));
            }
            if kind.shape.is_some() {
                fields.idle("image_size", &mut image_size, None, "only image-folder uses it");
                fields.idle("resize", &mut resize, None, "only image-folder uses it");
            } else if resize.is_some_and(|resize| resize.is_some()) {
                fields.require_for("image_size", &image_size, "data.resize cuts images to it");
            }
            let statistics = normalize.as_ref().and_then(Normalize::statistics);
            if let (Some([channels, ..]), Some((mean, _))) = (kind.shape, statistics)
                && mean.len() != channels
            {
                let plural = if channels == 1 { "" } else { "s" };
                fields.fault("normalize", &format!(
                    "expected statistics for the {channels} channel{plural} of {kind}, found {}", mean.len()
                ));
            }
        }
        if !fields.task_is(&[TaskKind::Train, TaskKind::AdversarialTrain]) {
            fields.idle("augment", &mut augment, Vec::new(), "only training augments images");
            fields.idle("extra", &mut extra, None, "only training reads it");
            fields.idle("train_limit", &mut train_limit, None, "only training reads the training images");
            fields.idle("validation", &mut validation, None, "only training reads the training images");
            let why = "only training takes steps, and data.eval_batch_size says how large other batches are";
            if fields.is_written("eval_batch_size") {
                fields.idle("batch_size", &mut batch_size, BATCH_SIZE, why);
            }
            // Without it, the other one has its value by now.
            batch_size = batch_size.map(|_| BATCH_SIZE);
        }
        if let (Some(Some(extra)), Some(size)) = (&extra, batch_size)
            && size as f64 * extra.fraction < 1.0
        {
            fields.fault("extra", &format!(
                "a fraction of {} of a batch of {size} is no image; expected a larger fraction or data.batch_size", extra.fraction
            ));
        }
        if !fields.task_is(&[TaskKind::Evaluate]) && fields.is_written("adversarial") {
            fields.fault("adversarial", "only the task evaluate judges on images that were made before");
        }
    }
}
