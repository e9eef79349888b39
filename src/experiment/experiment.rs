//! A spec after all layers are merged and every value is checked: what the program runs.

use std::collections::BTreeMap;

use super::tasks::Task;
use crate::data::DataSpec;
use crate::models::{LinbpSpec, ModelSpec};
use crate::ops::precision::Precision;

/// One experiment: a name and its stages in the order of the spec.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentSpec {
    /// The folder under `results/`.
    pub name: String,
    /// At least one. A spec without `[[stage]]` is one stage with the id [`StageSpec::MAIN`].
    pub stages: Vec<StageSpec>,
    /// Whether the spec lists stages.
    pub staged: bool,
    /// Key path -> the layer that set it, such as "spec experiments/a.toml:12", "command line" or "default".
    pub provenance: BTreeMap<String, String>,
    /// Settings without effect and other remarks, one line each.
    pub warnings: Vec<String>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSpec {
    pub id: String,
    /// The seed of every random number of the stage.
    pub seed: u64,
    /// How exactly a card computes; none: as cards do by default.
    pub precision: Option<Precision>,
    /// What it does, with its settings.
    pub task: Task,
}

impl StageSpec {
    /// The id of the stage of a spec that lists none.
    pub const MAIN: &'static str = "main";

    /// Its models: several of a transfer.
    pub fn models(&self) -> Vec<ModelUse<'_>> {
        let (Some(data), Some(linbp)) = (self.task.data(), self.task.linbp()) else {
            return Vec::new();
        };
        let models = self.task.models().into_iter();
        let models = models.map(|(key, model)| ModelUse {
            linbp: LinbpSpec {
                attack: linbp.attack && self.task.is_attacked(&key),
                ..linbp.clone()
            },
            key,
            model,
            data,
            seed: self.seed,
        });
        models.collect()
    }
}

/// A model of a stage, with what it is built from and used with.
#[derive(Clone, Debug)]
pub struct ModelUse<'a> {
    /// The key of the section that describes it.
    pub key: String,
    pub model: &'a ModelSpec,
    pub data: &'a DataSpec,
    pub linbp: LinbpSpec,
    /// The seed of random weights.
    pub seed: u64,
}

impl<'a> ModelUse<'a> {
    /// The one model of a task.
    pub fn new(model: &'a ModelSpec, data: &'a DataSpec, linbp: &LinbpSpec, seed: u64) -> Self {
        Self {
            key: "model".to_owned(),
            model,
            data,
            linbp: linbp.clone(),
            seed,
        }
    }
}
