//! `[model]`: the network.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::sequential::{self, Layer, read_layers};
use crate::choice::{choices, did_you_mean};
use crate::models::{self, Arch, Stem};
use crate::spec::fields::Fields;
use crate::spec::range::{Count, Share};
use crate::spec::section::section;
use crate::spec::task::TaskKind;

choices! {
    /// A moment of a training, at which its weights are taken, or its average.
    Moment {
        /// The end.
        Final = "final",
        /// The best checkpoint.
        Best = "best",
        /// The newest checkpoint.
        Last = "last",
        /// The exponential average at the end.
        Ema = "ema",
        /// The mean over the ends of epochs, at the end.
        Swa = "swa",
    }
}

/// Where a model's weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsRef {
    /// A file, relative to the working directory.
    File(PathBuf),
    /// The training stage of this id, at that moment: "@id", "@id.best", "@id.last", "@id.ema", "@id.swa".
    Stage(String, Moment),
}

impl Serialize for WeightsRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => path.serialize(serializer),
            Self::Stage(id, Moment::Final) => serializer.collect_str(&format_args!("@{id}")),
            Self::Stage(id, moment) => serializer.collect_str(&format_args!("@{id}.{moment}")),
        }
    }
}

impl<'de> Deserialize<'de> for WeightsRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = WeightsRef;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(
                    "a file or another stage, written \"@id\", or \"@id.best\" or \"@id.last\" for its checkpoints, \"@id.ema\" \
                     or \"@id.swa\" for its average",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<WeightsRef, E> {
                let refused = || E::invalid_value(de::Unexpected::Str(text), &self);
                match text.strip_prefix('@') {
                    None if text.is_empty() => Err(refused()),
                    None => Ok(WeightsRef::File(text.into())),
                    // An id has no dots.
                    Some(stage) => {
                        let (id, moment) = match stage.split_once('.') {
                            None => (stage, Some(Moment::Final)),
                            Some((id, moment)) => (id, Moment::from_name(moment)),
                        };
                        let moment = moment.filter(|_| !id.is_empty()).ok_or_else(refused)?;
                        Ok(WeightsRef::Stage(id.into(), moment))
                    }
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

choices! {
    /// The functions that can stand in for a network's ReLUs.
    Rectifier {
        /// `max(z, 0)`
        Relu = "relu",
        /// `z / (1 + exp(-z))`, smooth (Elfwing et al., arXiv 1702.03118).
        Silu = "silu",
    }
}

section! {
    /// The network.
    ModelSpec {
        /// Architecture, a name that `runner models` lists, or "onnx:FILE" for a network of one's own; required, or taken from
        /// the stage that `weights` names, or "sequential" where there are `layers`.
        arch: String [by read_arch],
        /// Initial weights: a file relative to the working directory, or "@id" of a training stage, "@id.best" for its best
        /// checkpoint, "@id.last" for its newest, "@id.ema" or "@id.swa" for its average; default random.
        weights: Option<WeightsRef> [optional],
        /// The entry of a torch file that holds the weights, as in "ema"; default the first of those that are common.
        weights_entry: Option<String> [optional],
        /// New names of the weights' tensors, before they are compared with the network's: { "old.*" = "new.*" }, with one
        /// `*` for the rest of a name; default none.
        rename: BTreeMap<String, String> [or BTreeMap::new()],
        /// Stands in for every ReLU and ReLU6: "relu" or "silu"; default the architecture's own.
        activation: Option<Rectifier> [optional],
        /// Stem of ResNets, ResNeXts and DenseNets: "3x3-maxpool" (a 3x3 convolution, then a max-pool of stride 2), "3x3"
        /// (the convolution alone) or torchvision's "7x7-maxpool" (7x7 of stride 2, then the max-pool, for images of
        /// 224x224); of MobileNetV2: "3x3" or torchvision's "3x3-stride2"; default what the weights say, the first of these
        /// where there are none.
        stem: Option<Stem> [optional],
        /// Dropout rate in [0, 1), where the architecture has dropout; default the architecture's own.
        dropout: Option<f64> [optional as Share],
        /// Widths of the hidden layers of an mlp, [] for a linear model; default [400, 200, 100].
        widths: Option<Vec<usize>> [by read_widths, optional],
        /// Layers of a sequential network, such as ["conv 32 3x3 pad=1", "relu", "flatten", "linear 10"]; required where
        /// `arch` is "sequential".
        layers: Option<Vec<Layer>> [by read_layers, optional],
    }
    check(fields) {
        let record = arch.as_ref().and_then(|arch| Arch::find(arch).ok());
        if let Some(record) = &record {
            match record.widths {
                Some(own) if widths == Some(None) => widths = Some(Some(own.to_vec())),
                Some(_) => {}
                None => {
                    let with_widths: Vec<&str> = models::all().filter(|a| a.widths.is_some()).map(|a| a.name).collect();
                    let why = format!("only the architecture {} uses it", with_widths.join(", "));
                    fields.idle("widths", &mut widths, None, &why);
                }
            }
            if record.layers {
                fields.require_for("layers", &layers, "sequential is made of them");
                fields.idle("dropout", &mut dropout, None, "each dropout of model.layers says its own rate");
            } else {
                fields.idle("layers", &mut layers, None, "only the architecture sequential uses it");
            }
            match (stem, record.stems) {
                (_, []) => fields.idle("stem", &mut stem, None, &format!("{} has no choice of stems", record.name)),
                (Some(Some(written)), stems) if !stems.contains(&written) => {
                    let names: Vec<String> = stems.iter().map(|stem| format!("\"{stem}\"")).collect();
                    fields.fault("stem", &format!("expected {} for {}, found \"{written}\"", names.join(" or "), record.name));
                }
                _ => {}
            }
        }
        let own_dropout = arch.as_ref().and_then(|arch| models::dropout(arch).ok());
        if let (Some(arch), Some(None)) = (&arch, own_dropout) {
            fields.idle("dropout", &mut dropout, None, &format!("{arch} has no dropout"));
        }
        if !fields.task_is(&[TaskKind::Train, TaskKind::AdversarialTrain]) {
            fields.idle("dropout", &mut dropout, None, "only training drops anything");
        } else if dropout == Some(None) {
            dropout = own_dropout.or(Some(None));
        }
        if !matches!(weights, Some(Some(WeightsRef::File(_)))) {
            let why = "weights names no file";
            fields.idle("weights_entry", &mut weights_entry, None, why);
            fields.idle("rename", &mut rename, BTreeMap::new(), why);
        }
        for (old, new) in rename.iter().flatten() {
            let stars = |pattern: &str| pattern.matches('*').count();
            if stars(old) > 1 || stars(new) > stars(old) {
                fields.fault("rename", &format!(
                    "expected at most one * in each old name, and none in a new one without, found \"{old}\" = \"{new}\""
                ));
                break;
            }
        }
        let random = weights == Some(None) && !record.is_some_and(|record| record.has_weights());
        if random && fields.task_is(&[TaskKind::Attack, TaskKind::Evaluate, TaskKind::Transfer]) {
            fields.warn("weights", "not set: the model is random, which is hardly worth an attack or an evaluation");
        }
    }
}

fn read_widths(fields: &mut Fields, key: &'static str) -> Option<Option<Vec<usize>>> {
    let widths = fields.optional::<Vec<Count>>(key)?;
    Some(widths.map(|widths| widths.into_iter().map(usize::from).collect()))
}

/// Reads the architecture against the list of those that are built.
fn read_arch(fields: &mut Fields, key: &'static str) -> Option<String> {
    if !fields.is_written(key) && fields.is_written("layers") {
        // Notes where the value comes from.
        fields.optional::<String>(key)?;
        return Some(sequential::NAME.into());
    }
    fields.required_by(key, |value| {
        let name = value.as_str().unwrap_or_default();
        match Arch::find(name) {
            Ok(_) => return Ok(name.to_owned()),
            // What a file is missing says more than a list of names.
            Err(error) if name.contains(':') => {
                return Err(error.to_string().replacen("model.arch: ", "", 1));
            }
            Err(_) => {}
        }
        let hint = did_you_mean(name, models::names());
        Err(format!("an architecture that `runner models` lists{hint}"))
    })
}
