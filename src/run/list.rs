//! The runs under the folder of all results, as their files tell.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::order::by_number;
use super::record::RunRecord;
use crate::error::{Error, Result};

/// One run as its files tell.
#[derive(Debug)]
pub struct ListedRun {
    /// The experiment's name.
    pub name: String,
    /// The run's name under it.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What `run.json` says, or why it cannot be read.
    pub record: Result<RunRecord>,
}

/// The runs under `results`, or those of `name` alone, in the order of the numbers in their names. Errors when there is nothing by
/// that name.
pub fn runs(results: &Path, name: Option<&str>) -> Result<Vec<ListedRun>> {
    let names = folders(results)?;
    if let Some(name) = name.filter(|name| !names.iter().any(|found| found == name)) {
        let known = match names.as_slice() {
            [] => "there are no runs at all".to_owned(),
            names => format!("there are runs of {}", names.join(", ")),
        };
        return Err(Error::spec(format!(
            "{}: no runs of {name:?}; {known}",
            results.display()
        )));
    }
    let mut found = Vec::new();
    for experiment in names
        .iter()
        .filter(|found| name.is_none_or(|name| name == *found))
    {
        let named = results.join(experiment);
        let runs = match folders(&named) {
            Ok(runs) => runs,
            // One folder that cannot be read hides nothing but its own runs.
            Err(error) if name.is_none() => {
                found.push(ListedRun {
                    name: experiment.clone(),
                    run: String::new(),
                    folder: named,
                    record: Err(error),
                });
                continue;
            }
            Err(error) => return Err(error),
        };
        // Thousands of small files: reading them side by side hides the waiting.
        let listed = runs.into_par_iter().filter_map(|run| {
            let folder = named.join(&run);
            let record = RunRecord::read(&folder).transpose()?;
            Some(ListedRun {
                name: experiment.clone(),
                run,
                folder,
                record,
            })
        });
        found.extend(listed.collect::<Vec<_>>());
    }
    Ok(found)
}

/// The names of the folders in `folder`, in order; none if there is no such folder.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let entries = Error::if_there("read", folder, fs::read_dir(folder))?;
    let mut names = Vec::new();
    for entry in entries.into_iter().flatten() {
        let entry = entry.map_err(Error::io("read", folder))?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort_by(|a, b| by_number(a, b));
    Ok(names)
}

/// The name of a run's folder without the number behind it, and the number: 1 where there is none. A run whose inputs changed after it had finished is
/// run anew in a folder with the next number.
pub fn split_number(name: &str) -> (&str, usize) {
    let numbered = name.rsplit_once('.').and_then(|(name, digits)| {
        let number = digits
            .parse()
            .ok()
            .filter(|&number: &usize| number > 1 && number.to_string() == digits)?;
        Some((name, number))
    });
    numbered.unwrap_or((name, 1))
}

/// The number behind the name of a run's folder.
pub fn run_number(name: &str) -> usize {
    split_number(name).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_the_hash() {
        assert_eq!(split_number("1f3a9c20"), ("1f3a9c20", 1));
        assert_eq!(
            split_number("attack.k=5-1f3a9c20.12"),
            ("attack.k=5-1f3a9c20", 12)
        );
        for name in ["a=0.5-12345678", "ab.1", "ab.02", "ab.x"] {
            assert_eq!(split_number(name), (name, 1));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_names_the_known_ones() {
        let results = tempfile::tempdir().unwrap();
        let missing = results.path().join("missing");
        assert!(runs(&missing, None).unwrap().is_empty());
        fs::create_dir(results.path().join("exp")).unwrap();
        let message = runs(results.path(), Some("ex")).unwrap_err().to_string();
        assert!(
            message.contains("no runs of \"ex\"; there are runs of exp"),
            "{message}"
        );
    }
}
