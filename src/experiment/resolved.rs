//! The resolved spec: every setting in effect, as TOML that reads back to the same, and its hash.

use serde::Serialize;

use super::experiment::{ExperimentSpec, StageSpec};
use super::tasks::Task;
use crate::ops::precision::Precision;
use crate::spec::task::TaskKind;
use crate::{Error, Result};

/// Part of every hash: raised when the same settings come to mean something else.
pub const FORMAT_VERSION: u32 = 3;

const HEADER: &str = "# Every setting of this run. Running this file again reproduces the run.\n\n";

/// A stage with the sections that its task has, in the order in which a spec is written.
#[derive(Serialize)]
struct Resolved<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    task: TaskKind,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<Precision>,
    #[serde(flatten)]
    sections: &'a Task,
}

#[derive(Serialize)]
struct Staged<'a> {
    name: &'a str,
    stage: Vec<Resolved<'a>>,
}

impl<'a> Resolved<'a> {
    fn new(stage: &'a StageSpec) -> Self {
        Self {
            name: None,
            id: None,
            task: stage.task.kind(),
            seed: stage.seed,
            precision: stage.precision,
            sections: &stage.task,
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

    /// The hash that names the run: eight hexadecimal digits of what tells each stage apart ([`StageSpec::identity`]),
    /// how often it writes checkpoints, and the format version.
    ///
    /// # Errors
    /// As [`Self::to_toml`].
    pub fn hash(&self) -> Result<String> {
        let mut text = format!("{FORMAT_VERSION}\n{}\n", self.name);
        for stage in &self.stages {
            let settings = toml::to_string(&stage.settings()?).map_err(refused)?;
            text += &format!("[[{}]]\n{settings}", stage.id);
        }
        Ok(short_hash(&text))
    }
}

impl StageSpec {
    /// The settings that change what the stage computes, as text: neither its id nor how often it writes checkpoints, and
    /// only those that are not what their key has stood for since it exists (`Section::identity`).
    ///
    /// # Errors
    /// A value that TOML cannot hold, such as a path that is not UTF-8.
    pub fn identity(&self) -> Result<String> {
        let mut settings = self.settings()?;
        settings.remove("checkpoint");
        toml::to_string(&settings).map_err(refused)
    }

    fn settings(&self) -> Result<toml::Table> {
        let mut settings = self.task.identity().map_err(refused)?;
        settings.insert("task".into(), self.task.kind().name().into());
        if self.seed != 0 {
            let seed = toml::Value::try_from(self.seed).map_err(refused)?;
            settings.insert("seed".into(), seed);
        }
        if let Some(precision) = self.precision {
            settings.insert("precision".into(), precision.name().into());
        }
        Ok(settings)
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
