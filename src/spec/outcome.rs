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
    /// Paths, as written, of the settings that some stage has no use for.
    idle: BTreeMap<String, Idle>,
    /// The same of the stage that is being read.
    pub effective_here: BTreeSet<String>,
    pub idle_here: BTreeMap<String, Idle>,
}

/// A setting without effect.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    pub location: Location,
    pub why: String,
    /// Whether it says what holds anyway: that misleads only where it is swept.
    pub is_default: bool,
    /// Whether it must not stand there at all: it is a setting of something that was not chosen.
    pub is_fault: bool,
}

impl Outcome {
    /// Notes a fault of a key, or of the whole location where there is none.
    pub fn fault(&mut self, location: &Location, key: &str, message: &str) {
        let line = match key {
            "" => format!("{location}: {message}"),
            key => format!("{location}: {key}: {message}"),
        };
        // Names and values may hold anything: a fault is one line all the same.
        let line = line.replace('\n', "\\n").replace('\r', "\\r");
        if !self.faults.iter().any(|(_, noted)| *noted == line) {
            self.faults.push((location.clone(), line));
        }
    }

    /// Whether nothing was refused.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults with their places: those in files by line, then those of the environment and the command line.
    pub fn located_faults(&self) -> Vec<(Location, String)> {
        let mut faults = self.faults.clone();
        faults.sort_by_key(|(location, _)| (location.file.is_none(), location.file.clone()));
        faults
    }

    /// The faults, one line each.
    pub fn faults(&self) -> Vec<String> {
        self.located_faults()
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }

    /// Ends the reading of a stage, or of one of several things that read the same settings. What one of them has no use
    /// for another may use.
    pub fn end_reading(&mut self) {
        let idle = std::mem::take(&mut self.idle_here);
        let effective = std::mem::take(&mut self.effective_here);
        self.effective.extend(
            effective
                .into_iter()
                .filter(|path| !idle.contains_key(path)),
        );
        for (path, idle) in idle {
            let known = self.idle.get(&path);
            if known.is_none_or(|known| known.is_default) {
                self.idle.insert(path, idle);
            }
        }
    }

    /// Notes a setting that no stage comes upon.
    pub fn idle(&mut self, path: String, location: Location, why: &str) {
        let idle = Idle {
            location,
            why: why.to_owned(),
            is_default: false,
            is_fault: false,
        };
        self.idle.insert(path, idle);
    }

    /// Why no stage uses the setting at this path, or the table that holds it, where that is so.
    pub fn without_effect(&self, path: &str) -> Option<&str> {
        let ends = path.match_indices('.').map(|(end, _)| end);
        let mut paths = ends.chain([path.len()]).map(|end| &path[..end]);
        paths.find_map(|path| {
            let idle = self.idle.get(path)?;
            (!self.effective.contains(path)).then_some(idle.why.as_str())
        })
    }

    /// Whether any stage came upon the setting at this path.
    pub fn was_seen(&self, path: &str) -> bool {
        self.effective.contains(path) || self.idle.contains_key(path)
    }

    /// Whether any stage uses the section or setting at this path.
    pub fn was_effective(&self, path: &str) -> bool {
        self.effective.contains(path)
    }

    /// The settings without effect in any stage that must not stand there, by path, each with a line that says so.
    pub fn misfits(&self) -> BTreeMap<String, (Location, String)> {
        let idle = self.all_idle().filter(|(_, idle)| idle.is_fault);
        idle.map(|(path, Idle { location, why, .. })| {
            let line = format!("{location}: {path}: {why}");
            (path.clone(), (location.clone(), line))
        })
        .collect()
    }

    fn all_idle(&self) -> impl Iterator<Item = (&String, &Idle)> {
        let idle = self.idle.iter();
        idle.filter(|(path, _)| !self.effective.contains(*path))
    }

    /// The remarks, then the settings without effect in any stage.
    pub fn warnings(&self) -> Vec<String> {
        let idle = self
            .all_idle()
            .filter(|(_, idle)| !idle.is_default && !idle.is_fault);
        let idle = idle.map(|(path, Idle { location, why, .. })| {
            format!("{location}: {path}: has no effect: {why}")
        });
        self.remarks.iter().cloned().chain(idle).collect()
    }
}
