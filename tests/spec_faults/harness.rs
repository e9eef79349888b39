//! Specs that cases build on, and their faults as words.

use runner::experiment::plan;
use runner::spec::Request;

/// A sound spec, on whose ten lines the cases build.
pub const TRAIN: &str = "\
task = \"train\"
[data]
kind = \"digits\"
[model]
arch = \"lenet5\"
[optimizer]
lr = 0.1
[train]
epochs = 2
";

/// The faults of a spec called `a.toml`, without the folder that it lies in.
pub fn faults(text: &str, overrides: &[&str], sweeps: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, text).unwrap();
    let request = Request {
        spec: file,
        overrides: overrides.iter().map(|text| text.to_string()).collect(),
        sweeps: sweeps.iter().map(|text| text.to_string()).collect(),
        ..Request::default()
    };
    match plan(&request) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            let prefix = format!("{}/", folder.path().display());
            error
                .to_string()
                .replace(&prefix, "")
                .lines()
                .map(str::to_owned)
                .collect()
        }
    }
}

pub fn attack(lines: &str) -> String {
    format!(
        "task = \"attack\"\n[data]\nkind = \"digits\"\n[model]\narch = \"lenet5\"\nweights = \"w\"\n[attack]\n{lines}"
    )
}

/// The remarks on a spec, sorted, without the places of the settings.
pub fn remarks(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    std::fs::write(&spec, text).unwrap();
    let plan = plan(&Request {
        spec,
        ..Request::default()
    });
    let remarks = plan.unwrap_or_else(|error| panic!("{error}")).warnings;
    let words = remarks.iter().map(|line| {
        line.split_once(": ")
            .expect("a place and a remark")
            .1
            .to_owned()
    });
    let mut words: Vec<String> = words.collect();
    words.sort();
    words
}
