//! Which runs are watched.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::Result;
use crate::run::{Glance, ListedRun, RunState, glances, runs};

/// The runs of one name, or of the names that something goes on in.
#[derive(Debug)]
pub struct Watched {
    results: PathBuf,
    name: Option<String>,
    /// Without a name: those that had a run under way since the beginning.
    active: BTreeSet<String>,
}

impl Watched {
    pub fn new(results: PathBuf, name: Option<String>) -> Self {
        Self {
            results,
            name,
            active: BTreeSet::new(),
        }
    }

    /// The runs as they are now, those under way first.
    ///
    /// # Errors
    /// A name without runs, a folder that cannot be read.
    pub fn look(&mut self) -> Result<Vec<Glance>> {
        let mut all = runs(&self.results, self.name.as_deref())?;
        if self.name.is_none() {
            let running = |run: &&ListedRun| run.state() == Some(RunState::Running);
            let names = all.iter().filter(running).map(|run| run.name.clone());
            self.active.extend(names);
            if self.active.is_empty() {
                let aged = all.iter().filter_map(|run| Some((run.age()?, &run.name)));
                self.active.extend(aged.min().map(|(_, name)| name.clone()));
            }
            all.retain(|run| self.active.is_empty() || self.active.contains(&run.name));
        }
        Ok(glances(&all))
    }

    /// What is said where there are no runs.
    pub fn none(&self) -> String {
        format!("no runs under {}\n", self.results.display())
    }
}
