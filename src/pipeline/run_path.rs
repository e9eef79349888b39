//! Where a run lies under `results/<name>/`.

use std::path::Path;

use crate::experiment::PlannedRun;
use crate::run::{Input, RunRecord, RunState, files, split_number};

/// The folder of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPath {
    /// Its name under `results/<name>/`.
    pub folder: String,
    /// Why that is a new folder beside one of the same settings, in words.
    pub because: Option<String>,
}

impl RunPath {
    fn of(folder: String) -> Self {
        Self {
            folder,
            because: None,
        }
    }
}

/// Where a run lies that reads `inputs`: in the folder whose results came of them. A run whose inputs have changed since it
/// finished gets a folder of its own, with the first number behind its name that is free. One that is not finished keeps its
/// folder, and [`crate::run::RunFolder::open`] refuses to mix the results in it.
pub fn run_folder(named: &Path, run: &PlannedRun, inputs: &[Input]) -> RunPath {
    let names = names(named);
    let first = first_folder(named, run, &names);
    let numbered = |number: usize| match number {
        1 => first.clone(),
        number => format!("{first}.{number}"),
    };
    let mut newest: Option<(String, RunRecord)> = None;
    for number in numbers(&names, &first) {
        let folder = numbered(number);
        let Ok(Some(record)) = RunRecord::read(&named.join(&folder)) else {
            // Not begun yet, or damaged: whoever opens it will say so.
            return RunPath::of(folder);
        };
        if record.changes(inputs).is_empty() {
            return RunPath::of(folder);
        }
        if newest
            .as_ref()
            .is_none_or(|(_, newest)| newest.created <= record.created)
        {
            newest = Some((folder, record));
        }
    }
    match newest {
        None => RunPath::of(first),
        Some((folder, record)) if record.state == RunState::Finished => {
            let free = (1..)
                .map(numbered)
                .find(|folder| !named.join(folder).exists());
            let changes = record.changes(inputs).join(", ");
            RunPath {
                folder: free.unwrap_or(first),
                because: Some(format!(
                    "{changes} since the run in {} finished",
                    named.join(folder).display()
                )),
            }
        }
        Some((folder, _)) => RunPath::of(folder),
    }
}

/// The folder that a run has as long as its inputs stay what they are. A run keeps the folder that it once got: when a sweep
/// has grown by a key since, its label is longer, and the run is found by the hash of its settings and the text of its
/// `spec.toml`.
fn first_folder(named: &Path, run: &PlannedRun, names: &[String]) -> String {
    let folder = run.folder();
    if named.join(&folder).is_dir() {
        return folder;
    }
    let suffix = format!("-{}", run.hash);
    // The files of thousands of others are not read.
    let named_so = |name: &str| name == run.hash || name.ends_with(&suffix);
    let names = names.iter().filter(|name| named_so(split_number(name).0));
    let names = names.filter(|name| holds(&named.join(name), run));
    let mut names: Vec<&str> = names.map(|name| split_number(name).0).collect();
    names.sort_unstable();
    names.first().map_or(folder, |name| (*name).to_owned())
}

/// The numbers of the folders that a run has, in order: 1 is the one without a number.
fn numbers(names: &[String], first: &str) -> Vec<usize> {
    let numbers = names.iter().map(|name| split_number(name));
    let mut numbers: Vec<usize> = numbers
        .filter(|(name, _)| *name == first)
        .map(|(_, number)| number)
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The names of what is in a folder; none if it cannot be listed.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn holds(folder: &Path, run: &PlannedRun) -> bool {
    std::fs::read_to_string(folder.join(files::SPEC)).is_ok_and(|text| text == run.text)
}
