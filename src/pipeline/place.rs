//! Where a run lies under `results/<name>/`.

use std::path::Path;

use crate::run::files;
use crate::spec::PlannedRun;

/// The name of a run's folder. A run keeps the folder that it once got: when a sweep has grown by a key since, its label
/// is longer, and the run is found by the hash of its settings and the text of its `spec.toml`.
pub fn run_folder(named: &Path, run: &PlannedRun) -> String {
    let folder = run.folder();
    if named.join(&folder).is_dir() {
        return folder;
    }
    let Ok(entries) = std::fs::read_dir(named) else {
        return folder;
    };
    let suffix = format!("-{}", run.hash);
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| *name == run.hash || name.ends_with(&suffix))
        .filter(|name| holds(&named.join(name), run))
        .collect();
    names.sort();
    names.into_iter().next().unwrap_or(folder)
}

fn holds(folder: &Path, run: &PlannedRun) -> bool {
    std::fs::read_to_string(folder.join(files::SPEC)).is_ok_and(|text| text == run.text)
}
