//! `--fresh`: earlier results are archived under a new name. Nothing is removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::run::{Lock, StageFolder};
use crate::{Error, Result};

/// In the folder of a name: what was archived.
const EARLIER: &str = "earlier";

/// Moves the folders of runs and of the stages that they share to `earlier/`, each with the first number that is free.
/// `stages` are ids and keys.
///
/// # Errors
/// A folder that another process works on, or that cannot be moved.
pub(super) fn archive(
    named: &Path,
    runs: &[String],
    stages: &BTreeSet<(String, String)>,
) -> Result<Vec<PathBuf>> {
    if !named.is_dir() {
        return Ok(Vec::new());
    }
    // One process at a time: between two looks at a folder no other may move it.
    let _alone = Lock::wait(named, |_| ())?;
    let mut moved = Vec::new();
    for run in runs {
        moved.extend(archive_folder(&named.join(run), &named.join(EARLIER))?);
    }
    for (id, key) in stages {
        let path = StageFolder::shared_path(named, id, key);
        let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
        moved.extend(archive_folder(&path, &named.join(EARLIER).join(parent))?);
    }
    Ok(moved)
}

/// Moves the folders of runs to `earlier/`; the stages that they share stay.
///
/// # Errors
/// A folder that another process works on, or that cannot be moved.
pub fn archive_runs(named: &Path, runs: &[String]) -> Result<Vec<PathBuf>> {
    archive(named, runs, &BTreeSet::new())
}

fn archive_folder(folder: &Path, earlier: &Path) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let _owned = Lock::acquire(folder)?;
    std::fs::create_dir_all(earlier).map_err(Error::io("create", earlier))?;
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let free = (1..)
        .map(|number| earlier.join(format!("{name}.{number}")))
        .find(|path| !path.exists());
    let target =
        free.ok_or_else(|| Error::failed(format!("{}: cannot be archived", folder.display())))?;
    std::fs::rename(folder, &target).map_err(Error::io("archive", folder))?;
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_results_are_numbered_and_kept() {
        let named = tempfile::tempdir().unwrap();
        let run = named.path().join("ab");
        for number in 1..=2 {
            std::fs::create_dir(&run).unwrap();
            std::fs::write(run.join("metrics.csv"), number.to_string()).unwrap();
            let moved = archive(
                named.path(),
                &["ab".into(), "none".into()],
                &BTreeSet::new(),
            )
            .unwrap();
            assert_eq!(moved, [named.path().join(format!("earlier/ab.{number}"))]);
            assert!(!run.exists());
            let kept = std::fs::read_to_string(moved[0].join("metrics.csv")).unwrap();
            assert_eq!(kept, number.to_string());
        }
        std::fs::create_dir(&run).unwrap();
        let _owner = Lock::acquire(&run).unwrap();
        let error = archive(named.path(), &["ab".into()], &BTreeSet::new()).unwrap_err();
        assert!(error.to_string().contains("in use by"), "{error}");
        assert!(run.exists());
    }
}
