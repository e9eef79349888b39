//! A spec after all layers are merged and every value is checked: what the program runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::precision::PrecisionChoice;
use super::sections::{
    CheckpointSpec, DataSpec, EvalAttack, EvaluateSpec, LinbpSpec, ModelSpec, OptimizerSpec,
    SchedulerSpec, SimulateSpec, TrainSpec, TransferSpec,
};
use super::task::Task;
use crate::attacks::{AttackSpec, Entry};

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

/// One stage. A section that the task does not use is `None`, or its default.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageSpec {
    pub id: String,
    pub task: Task,
    /// The seed of every random number of the stage.
    pub seed: u64,
    /// How exactly a card computes; none: as cards do by default.
    pub precision: Option<PrecisionChoice>,
    pub data: Option<DataSpec>,
    pub model: Option<ModelSpec>,
    pub linbp: LinbpSpec,
    pub optimizer: Option<OptimizerSpec>,
    pub scheduler: SchedulerSpec,
    pub train: Option<TrainSpec>,
    pub attack: Option<AttackSpec>,
    pub evaluate: EvaluateSpec,
    pub checkpoint: CheckpointSpec,
    pub simulate: Option<SimulateSpec>,
    pub transfer: Option<TransferSpec>,
}

impl StageSpec {
    /// The id of the stage of a spec that lists none.
    pub const MAIN: &'static str = "main";

    /// The stage once for each model that it uses, as its own one: several for a transfer, which differ in nothing else.
    /// LinBP in attacks is on where some of the stage's attacks use it.
    pub fn by_model(&self) -> Vec<Self> {
        let Some(transfer) = &self.transfer else {
            return vec![self.clone()];
        };
        let models = transfer.models.values();
        let models = models.map(|model| self.with_model(model, transfer.linbp.contains(&true)));
        models.collect()
    }

    /// The attacks that the stage carries out: its own, and those of its evaluations.
    pub fn attacks(&self) -> Vec<Entry> {
        let own = self.attack.as_ref().and_then(AttackSpec::entry);
        let transfer = self.transfer.iter().flat_map(|transfer| &transfer.attacks);
        let evaluations = self.evaluate.attacks.iter().filter_map(EvalAttack::attack);
        own.into_iter()
            .chain(transfer.chain(evaluations).cloned())
            .collect()
    }

    /// The stage with another model, and LinBP in attacks on or off.
    pub fn with_model(&self, model: &ModelSpec, linbp: bool) -> Self {
        let mut stage = self.clone();
        stage.model = Some(model.clone());
        stage.linbp.attack = linbp;
        stage
    }
}
