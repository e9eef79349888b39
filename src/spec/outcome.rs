//! What the reading of a spec leaves besides the settings: faults, settings without effect, provenance.

use std::collections::{BTreeMap, BTreeSet};

use super::location::Location;

/// Collected while a spec is read. A fault never stops the reading: the user hears of all of them at once.
#[derive(Default)]
pub(crate) struct Outcome {
    /// One line each: where, which key, what was expected.
    pub faults: Vec<String>,
    /// Remarks that are no faults.
    pub remarks: Vec<String>,
    /// Resolved key -> the layer that set it.
    pub provenance: BTreeMap<String, String>,
    /// Paths, as written, of the settings that some stage uses.
    pub effective: BTreeSet<String>,
    /// Paths, as written, of the settings that some stage has no use for, with the remark on it.
    pub idle: BTreeMap<String, String>,
    /// The same of the stage that is being read.
    pub effective_here: BTreeSet<String>,
    pub idle_here: BTreeMap<String, String>,
}

impl Outcome {
    pub fn fault(&mut self, place: &Location, key: &str, message: &str) {
        let line = format!("{place}: {key}: {message}");
        if !self.faults.contains(&line) {
            self.faults.push(line);
        }
    }

    /// Ends the reading of a stage. What one stage has no use for another may use.
    pub fn end_stage(&mut self) {
        let idle = std::mem::take(&mut self.idle_here);
        let effective = std::mem::take(&mut self.effective_here);
        self.effective.extend(
            effective
                .into_iter()
                .filter(|path| !idle.contains_key(path)),
        );
        self.idle.extend(idle);
    }

    /// The remarks, then the settings without effect in any stage.
    pub fn warnings(&self) -> Vec<String> {
        let idle = self
            .idle
            .iter()
            .filter(|(path, _)| !self.effective.contains(*path));
        let idle = idle.map(|(_, remark)| remark.clone());
        self.remarks.iter().cloned().chain(idle).collect()
    }
}
