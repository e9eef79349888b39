//! A run as text that another process can carry out: whatever becomes of the spec's files meanwhile, it stays what it is.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlannedRun, plan_document};
use crate::spec::Request;
use crate::spec::document::Document;
use crate::spec::outcome::Outcome;
use crate::{Error, Result};

/// A run of a plan: the resolved spec and what is not in it.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrozenRun {
    label: String,
    values: Vec<(String, String)>,
    swept: Vec<String>,
    /// Which layer set each key.
    settings: BTreeMap<String, String>,
    hash: String,
    spec: String,
}

impl FrozenRun {
    /// A run of a plan.
    pub fn new(plan: &Plan, run: &PlannedRun) -> Self {
        Self {
            label: run.label.clone(),
            values: run.values.clone(),
            swept: plan.swept.clone(),
            settings: run.spec.provenance.clone(),
            hash: run.hash.clone(),
            spec: run.text.clone(),
        }
    }

    /// A plan of that run alone.
    ///
    /// # Errors
    /// A spec that this version of the program reads otherwise.
    pub fn plan(self) -> Result<Plan> {
        let mut outcome = Outcome::default();
        let read = Document::parse(Path::new("spec.toml"), &self.spec, "spec", &mut outcome);
        let document = read.ok_or_else(|| Error::spec(outcome.faults().join("\n")))?;
        let mut plan = plan_document(document, &Request::default())?;
        let run = match plan.runs.as_mut_slice() {
            [run] if run.hash == self.hash => run,
            _ => {
                return Err(Error::failed(format!(
                    "{}: this version of the program reads the run's spec otherwise than the one that planned it",
                    self.label
                )));
            }
        };
        run.label = self.label;
        run.values = self.values;
        run.spec.provenance = self.settings;
        plan.swept = self.swept;
        Ok(plan)
    }
}
