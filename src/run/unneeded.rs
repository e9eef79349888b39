//! Shared stages that no run needs any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::files;
use super::list::runs;
use super::lock::Lock;
use crate::{Error, Result};

/// The folder of a stage that no run needs.
#[derive(Debug)]
pub struct Unneeded {
    pub path: PathBuf,
    /// What its files take.
    pub bytes: u64,
}

impl Unneeded {
    /// Deletes it.
    ///
    /// # Errors
    /// A process works on it.
    pub fn remove(&self) -> Result<()> {
        let _owned = Lock::acquire(&self.path)?;
        fs::remove_dir_all(&self.path).map_err(Error::io("delete", &self.path))
    }
}

/// The folders of stages under `results`, or those of `name` alone, that no run's record names.
///
/// # Errors
/// A record that cannot be read: what its run needs is not known.
pub fn unneeded_stages(results: &Path, name: Option<&str>) -> Result<Vec<Unneeded>> {
    let mut names = BTreeSet::new();
    let mut needed = BTreeSet::new();
    for run in runs(results, name)? {
        for stage in run.record?.stages {
            needed.insert(clean(&run.folder.join(stage.folder)));
        }
        names.insert(run.name);
    }
    names.extend(name.map(str::to_owned));
    let mut found = Vec::new();
    for name in names {
        let shared = results.join(name).join(files::SHARED_STAGES);
        let Ok(entries) = fs::read_dir(&shared) else {
            continue;
        };
        for entry in entries {
            let path = entry.map_err(Error::io("read", &shared))?.path();
            if path.is_dir() && !needed.contains(&clean(&path)) {
                let bytes = size(&path)?;
                found.push(Unneeded { path, bytes });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// A path without the steps up that a run's record has in it.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let about = entry.metadata().map_err(Error::io("read", &entry.path()))?;
        bytes += match about.is_dir() {
            true => size(&entry.path())?,
            false => about.len(),
        };
    }
    Ok(bytes)
}
