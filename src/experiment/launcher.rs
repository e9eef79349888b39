//! `[launcher]`: what a cluster is told of the runs of a sweep. It decides where runs happen, not what they compute: no hash
//! covers it.

use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::Deserialize;

use crate::spec::words::{expected, found, unknown_key};

/// Settings of the jobs of `--launcher slurm`, each a line of the script that `sbatch` gets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LauncherSpec {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--qos`.
    pub qos: Option<String>,
    /// `--time`, such as "08:00:00": a run that it cuts off is saved and queued again.
    pub time: Option<String>,
    /// `--mem`, such as "16G".
    pub memory: Option<String>,
    /// `--cpus-per-task`.
    pub cpus: Option<u32>,
    /// `--gres=gpu:N`.
    pub gpus: Option<u32>,
    /// `--constraint`.
    pub constraint: Option<String>,
    /// Runs at the same time.
    pub array_limit: Option<u32>,
    /// Lines of shell before each run, such as "module load cuda".
    #[serde(default)]
    pub setup: Vec<String>,
}

impl LauncherSpec {
    /// The section of merged layers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(merged: &Dict) -> Result<Self, String> {
        let Some(section) = merged.get("launcher") else {
            return Ok(Self::default());
        };
        let read: Self =
            section
                .deserialize()
                .map_err(|error: figment::Error| match &error.kind {
                    Kind::UnknownField(key, known) => {
                        format!("{key}: {}", unknown_key(key, known.iter().copied(), &[]))
                    }
                    kind => match error.path.last() {
                        Some(key) => {
                            let value = section.as_dict().and_then(|dict| dict.get(key));
                            let found = value.map_or("nothing".to_owned(), found);
                            format!("{key}: expected {}, found {found}", expected(kind))
                        }
                        None => format!("expected a table, found {}", found(section)),
                    },
                })?;
        let options = [
            &read.partition,
            &read.account,
            &read.qos,
            &read.time,
            &read.memory,
            &read.constraint,
        ];
        // They become lines of a script.
        let odd = |text: &&String| {
            text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        let odd = options.into_iter().flatten().find(odd);
        match odd.cloned() {
            Some(text) => Err(format!(
                "expected words without spaces, found \"{}\"",
                text.escape_default()
            )),
            None => Ok(read),
        }
    }

    /// The values of `[launcher]` as `sbatch` takes them.
    pub fn options(&self) -> Vec<String> {
        let text = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("time", &self.time),
            ("mem", &self.memory),
            ("constraint", &self.constraint),
        ];
        let text = text
            .into_iter()
            .filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)));
        let mut options: Vec<String> = text.collect();
        options.extend(self.cpus.map(|cpus| format!("--cpus-per-task={cpus}")));
        options.extend(self.gpus.map(|gpus| format!("--gres=gpu:{gpus}")));
        options
    }
}

/// The tag of the section, by which it is located.
pub(super) fn tag(merged: &Dict) -> figment::value::Tag {
    merged
        .get("launcher")
        .map_or(figment::value::Tag::Default, Value::tag)
}
