//! `transfer.ensembles`: several models that images are made on at once.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::choice::choices;

choices! {
    /// What an attack gets of the models of an ensemble (Dong et al., arXiv 1710.06081, "ensemble in logits" and "in loss"). The
    /// mean of losses has the mean of their gradients.
    Mean {
        /// The gradient of a loss of the mean logits.
        Logits = "logits",
        /// The mean gradient of the loss that each model has.
        Losses = "losses",
    }
}

/// Models that images are made on together.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleSpec {
    pub models: Vec<String>,
    pub mean: Mean,
}

impl<'de> Deserialize<'de> for EnsembleSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, deny_unknown_fields)]
        enum Written {
            List(Vec<String>),
            Table { models: Vec<String>, mean: Mean },
        }
        match Written::deserialize(deserializer) {
            Ok(Written::List(models)) => Ok(Self {
                models,
                mean: Mean::Logits,
            }),
            Ok(Written::Table { models, mean }) => Ok(Self { models, mean }),
            Err(_) => Err(D::Error::custom(
                "a list of models, or { models = [\"...\", \"...\"], mean = \"losses\" }, or \"logits\"",
            )),
        }
    }
}

impl Serialize for EnsembleSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Table<'a> {
            models: &'a [String],
            mean: Mean,
        }
        let Self { models, mean } = self;
        match mean {
            Mean::Logits => models.serialize(serializer),
            &mean => Table { models, mean }.serialize(serializer),
        }
    }
}
