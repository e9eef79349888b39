//! The resolved spec: every setting in effect, as TOML that reads back to the same, and its hash.

use serde::Serialize;

use super::experiment::{ExperimentSpec, StageSpec};
use super::precision::PrecisionChoice;
use super::section::Section;
use super::sections::{
    CheckpointSpec, DataSpec, EvaluateSpec, LinbpSpec, ModelSpec, OptimizerSpec, SchedulerSpec,
    SimulateSpec, TrainSpec, TransferSpec,
};
use super::task::Task;
use crate::attacks::AttackSpec;
use crate::{Error, Result};

/// Part of every hash: raised when the same settings come to mean something else.
pub const FORMAT_VERSION: u32 = 3;

const HEADER: &str = "# Every setting of this run. Running this file again reproduces the run.\n\n";

/// A stage with the sections that its task uses, in the order in which a spec is written.
#[derive(Serialize)]
struct Resolved<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    task: Task,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<PrecisionChoice>,
    data: Option<&'a DataSpec>,
    model: Option<&'a ModelSpec>,
    linbp: Option<&'a LinbpSpec>,
    optimizer: Option<&'a OptimizerSpec>,
    scheduler: Option<&'a SchedulerSpec>,
    train: Option<&'a TrainSpec>,
    attack: Option<&'a AttackSpec>,
    evaluate: Option<&'a EvaluateSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<&'a CheckpointSpec>,
    simulate: Option<&'a SimulateSpec>,
    transfer: Option<&'a TransferSpec>,
}

#[derive(Serialize)]
struct Staged<'a> {
    name: &'a str,
    stage: Vec<Resolved<'a>>,
}

impl<'a> Resolved<'a> {
    fn new(stage: &'a StageSpec) -> Self {
        let uses = |section| stage.task.uses(section, false);
        Self {
            name: None,
            id: None,
            task: stage.task,
            seed: stage.seed,
            precision: stage.precision,
            data: stage.data.as_ref(),
            model: stage.model.as_ref(),
            linbp: uses("linbp").then_some(&stage.linbp),
            optimizer: stage.optimizer.as_ref(),
            scheduler: uses("scheduler").then_some(&stage.scheduler),
            train: stage.train.as_ref(),
            attack: stage.attack.as_ref(),
            evaluate: uses("evaluate").then_some(&stage.evaluate),
            checkpoint: uses("checkpoint").then_some(&stage.checkpoint),
            simulate: stage.simulate.as_ref(),
            transfer: stage.transfer.as_ref(),
        }
    }
}

impl ExperimentSpec {
    /// Every setting in effect as TOML. Reading the text again gives the same experiment.
    ///
    /// # Errors
    /// A value that TOML cannot hold, such as a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        let text = match (self.staged, self.stages.as_slice()) {
            (false, [only]) => toml::to_string(&Resolved {
                name: Some(&self.name),
                ..Resolved::new(only)
            }),
            (_, stages) => toml::to_string(&Staged {
                name: &self.name,
                stage: stages
                    .iter()
                    .map(|stage| Resolved {
                        id: Some(&stage.id),
                        ..Resolved::new(stage)
                    })
                    .collect(),
            }),
        };
        text.map(|text| format!("{HEADER}{text}")).map_err(refused)
    }

    /// The hash that names the run: eight hexadecimal digits of what [`StageSpec::identity`] says of each stage, how often
    /// it writes checkpoints, and the format version.
    ///
    /// # Errors
    /// As [`Self::to_toml`].
    pub fn hash(&self) -> Result<String> {
        let mut text = format!("{FORMAT_VERSION}\n{}\n", self.name);
        for stage in &self.stages {
            text += &format!("[[{}]]\n{}", stage.id, stage.identity()?);
            if stage.task.uses("checkpoint", false) {
                let checkpoint = stage.checkpoint.identity().map_err(refused)?;
                text += &toml::to_string(&checkpoint).map_err(refused)?;
            }
        }
        Ok(short_hash(&text))
    }
}

impl StageSpec {
    /// The settings that change what the stage computes, as text: neither its id nor how often it writes checkpoints, and
    /// only those that are not what their key has stood for since it exists ([`Section::identity`]).
    ///
    /// # Errors
    /// A value that TOML cannot hold, such as a path that is not UTF-8.
    pub fn identity(&self) -> Result<String> {
        let mut table = toml::Table::new();
        table.insert("task".into(), self.task.name().into());
        if self.seed != 0 {
            table.insert(
                "seed".into(),
                toml::Value::try_from(self.seed).map_err(refused)?,
            );
        }
        if let Some(precision) = self.precision {
            table.insert("precision".into(), precision.name().into());
        }
        let uses = |section| self.task.uses(section, false);
        let mut add = |name: &str, section: Option<Result<toml::Table, toml::ser::Error>>| {
            if let Some(section) = section {
                table.insert(name.into(), section.map_err(refused)?.into());
            }
            Ok::<(), Error>(())
        };
        add("data", self.data.as_ref().map(Section::identity))?;
        add("model", self.model.as_ref().map(Section::identity))?;
        add("linbp", uses("linbp").then(|| self.linbp.identity()))?;
        add("optimizer", self.optimizer.as_ref().map(Section::identity))?;
        add(
            "scheduler",
            uses("scheduler").then(|| self.scheduler.identity()),
        )?;
        add("train", self.train.as_ref().map(Section::identity))?;
        add("attack", self.attack.as_ref().map(Section::identity))?;
        add(
            "evaluate",
            uses("evaluate").then(|| self.evaluate.identity()),
        )?;
        add("simulate", self.simulate.as_ref().map(Section::identity))?;
        add("transfer", self.transfer.as_ref().map(Section::identity))?;
        toml::to_string(&table).map_err(refused)
    }
}

/// Eight hexadecimal digits of the BLAKE3 hash of a text.
pub fn short_hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().as_str()[..8].to_owned()
}

fn refused(error: toml::ser::Error) -> Error {
    Error::spec(format!(
        "the resolved spec cannot be written as TOML: {error}"
    ))
}
