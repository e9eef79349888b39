//! Specs that cases build on, and their faults as words.

use runner::attacks::AttackKind;
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

/// A line with the names that stand for its `{entries}` (what a list of attacks can hold), `{training}` (the attacks that a
/// model can be trained on) and `{with KEY}` (the attacks that have a setting).
pub fn filled(line: &str) -> String {
    let entries = ["none"].into_iter().chain(AttackKind::entry_names());
    let entries: Vec<String> = entries.map(|name| format!("\"{name}\"")).collect();
    let all = AttackKind::ALL.iter().map(|kind| kind.description());
    let training: Vec<&str> = all
        .filter(|attack| attack.is_for_training)
        .map(|attack| attack.name)
        .collect();
    let mut line = line
        .replace("{entries}", &entries.join(", "))
        .replace("{training}", &training.join(", "));
    for key in AttackKind::all_keys() {
        let having = AttackKind::with_key(key.name);
        let verb = if having.len() == 1 { "has" } else { "have" };
        let words = format!("{} {verb}", having.join(", "));
        line = line.replace(&format!("{{with {}}}", key.name), &words);
    }
    line
}

pub fn attack(lines: &str) -> String {
    format!(
        "task = \"attack\"\n[data]\nkind = \"digits\"\n[model]\narch = \"lenet5\"\nweights = \"w\"\n[attack]\n{lines}"
    )
}

/// The remarks on a spec, sorted, without the positions of the settings.
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
            .expect("a position and a remark")
            .1
            .to_owned()
    });
    let mut words: Vec<String> = words.collect();
    words.sort();
    words
}
