//! Specs that cases build on, and their faults as words.

use runner::spec::{Request, plan};

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
