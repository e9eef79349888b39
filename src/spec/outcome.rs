//! What the reading of a spec leaves besides the settings: faults, settings without effect, provenance.

use std::collections::{BTreeMap, BTreeSet};

use super::location::Location;

/// Collected while a spec is read. A fault never stops the reading: the user hears of all of them at once.
#[derive(Default)]
pub(crate) struct Outcome {
    faults: Vec<(Location, String)>,
    /// Remarks that are no faults.
    pub remarks: Vec<String>,
    /// Resolved key -> the layer that set it.
    pub provenance: BTreeMap<String, String>,
    /// Paths, as written, of the settings that some stage uses.
    effective: BTreeSet<String>,
    /// Paths, as written, of the settings that some stage has no use for, with the remark on it.
    idle: BTreeMap<String, String>,
    /// The same of the stage that is being read.
    pub effective_here: BTreeSet<String>,
    pub idle_here: BTreeMap<String, String>,
}

impl Outcome {
    /// Notes a fault of a key, or of the whole place where there is none.
    pub fn fault(&mut self, place: &Location, key: &str, message: &str) {
        let line = match key {
            "" => format!("{place}: {message}"),
            key => format!("{place}: {key}: {message}"),
        };
        if !self.faults.iter().any(|(_, noted)| *noted == line) {
            self.faults.push((place.clone(), line));
        }
    }

    /// Whether nothing was refused.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults with their places: those in files by line, then those of the environment and the command line.
    pub fn placed_faults(&self) -> Vec<(Location, String)> {
        let mut faults = self.faults.clone();
        faults.sort_by_key(|(place, _)| (place.file.is_none(), place.file.clone()));
        faults
    }

    /// The faults, one line each.
    pub fn faults(&self) -> Vec<String> {
        self.placed_faults()
            .into_iter()
            .map(|(_, line)| line)
            .collect()
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

    /// Whether any stage came upon the setting at this path.
    pub fn was_seen(&self, path: &str) -> bool {
        self.effective.contains(path) || self.idle.contains_key(path)
    }

    /// Whether any stage uses the section or setting at this path.
    pub fn was_effective(&self, path: &str) -> bool {
        self.effective.contains(path)
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
