//! Finished evaluations by AutoAttack as RobustBench keeps them (arXiv 2010.09670): a record per network, in the form of its
//! `model_info` files.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::Value;

use super::cells::setting;
use super::comparison::{ComparedRun, ComparedStage, Comparison};
use super::settings::of_stage;
use super::words::value_words;
use crate::attacks::AttackKind;
use crate::run::{MetricsRow, RunState, runs};
use crate::{Error, Result, atomic};

/// The folder of the records under that of a name.
const FOLDER: &str = "robustbench";

/// The members of the standard version, as a resolved spec has them.
const STANDARD: &str = r#"[
    { kind = "apgd", k = 100, loss = "ce", restarts = 1 },
    { kind = "apgd-t", k = 100, restarts = 1 },
    { kind = "fab-t", k = 100, restarts = 1 },
    { kind = "square", n_queries = 5000, restarts = 1 },
]"#;

/// A record. What no run knows is left empty, for its author to fill in.
#[derive(Debug, Serialize)]
struct Record {
    link: &'static str,
    name: &'static str,
    authors: &'static str,
    venue: &'static str,
    additional_data: Option<bool>,
    number_forward_passes: u32,
    dataset: String,
    architecture: String,
    /// `Linf` or `L2`.
    threat_model: String,
    eps: String,
    clean_acc: String,
    reported: String,
    autoattack_acc: String,
    unreliable: bool,
    footnote: String,
}

/// Writes a record for each finished stage under `results/<name>` that judged a network by the standard version of AutoAttack;
/// gives the files.
///
/// # Errors
/// A name without such a stage, or a file that cannot be written.
pub fn robustbench(results: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let comparison = Comparison::new(runs(results, Some(name))?);
    let mut written = Vec::new();
    for run in &comparison.runs {
        let finished = run.stages.iter();
        let finished = finished.filter(|stage| stage.record.state == RunState::Finished);
        for (stage, record) in finished.filter_map(|stage| Some((stage, record(run, stage)?))) {
            let run = run.run.rsplit('/').next().unwrap_or(&run.run);
            let folder = results.join(name).join(FOLDER);
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
            let path = folder.join(format!("{run}-{}.json", stage.record.id));
            let text = serde_json::to_string_pretty(&record)
                .map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
            atomic::write(&path, (text + "\n").as_bytes())?;
            written.push(path);
        }
    }
    match written.is_empty() {
        true => Err(Error::failed(format!(
            "{name}: no finished stage judged a network by the standard version of auto-attack; give it as attack.kind of the \
             task \"attack\", or in evaluate.attacks"
        ))),
        false => Ok(written),
    }
}

fn record(run: &ComparedRun, stage: &ComparedStage) -> Option<Record> {
    let id = &stage.record.id;
    let of = |key: &str| of_stage(&run.settings, id, key);
    let attack = standard_attack(&of)?;
    let row = |attack: &str| -> Option<&MetricsRow> {
        let mut rows = stage.rows.iter().rev();
        rows.find(|row| row.split == "test" && row.attack == attack)
    };
    let (clean, robust) = (row("none")?, row(&attack)?);
    let per_cent = |row: &MetricsRow| Some(format!("{:.2}", 100.0 * row.accuracy?));
    let images = robust.examples?;
    Some(Record {
        link: "",
        name: "",
        authors: "",
        venue: "",
        additional_data: None,
        number_forward_passes: 1,
        dataset: setting(of("data.kind")),
        architecture: setting(of("model.arch")),
        threat_model: setting(of("attack.norm")).replacen('l', "L", 1),
        eps: value_words("attack.epsilon", of("attack.epsilon")),
        clean_acc: per_cent(clean)?,
        reported: per_cent(robust)?,
        autoattack_acc: per_cent(robust)?,
        unreliable: false,
        footnote: format!("On {images} test images."),
    })
}

/// The name in result files of the attack that is the standard version of AutoAttack, if the stage has it.
fn standard_attack<'a>(of: &impl Fn(&str) -> Option<&'a Value>) -> Option<String> {
    let standard: Value = format!("all = {STANDARD}").parse::<toml::Table>().ok()?["all"].clone();
    let kind = AttackKind::AutoAttack.name();
    if of("attack.kind").and_then(Value::as_str) == Some(kind) {
        return (of("attack.attacks") == Some(&standard)).then(|| kind.to_owned());
    }
    let listed = of("evaluate.attacks")?.as_array()?;
    let entry = listed.iter().find(|entry| {
        entry.get("kind").and_then(Value::as_str) == Some(kind)
            && entry.get("attacks") == Some(&standard)
    })?;
    let name = entry.get("name").and_then(Value::as_str);
    Some(name.unwrap_or(kind).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan;
    use crate::report::settings::Settings;
    use crate::spec::Request;

    fn settings(attack: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("a.toml");
        let text =
            format!("data = {{ kind = \"digits\" }}\nmodel = {{ arch = \"mlp\" }}\n{attack}");
        fs::write(&spec, text).unwrap();
        let request = Request {
            spec,
            ..Request::default()
        };
        let plan = plan(&request).unwrap();
        fs::write(folder.path().join("spec.toml"), &plan.runs[0].text).unwrap();
        crate::report::settings::read(folder.path()).unwrap()
    }

    #[test]
    fn the_standard_version_is_the_default_of_auto_attack_and_nothing_else() {
        let name = |attack: &str| {
            let settings = settings(attack);
            standard_attack(&|key: &str| settings.get(key))
        };
        let attack = "task = \"attack\"\n[attack]\nkind = \"auto-attack\"\nepsilon = 0.1\n";
        assert_eq!(name(attack).as_deref(), Some("auto-attack"));
        assert_eq!(name(&format!("{attack}attacks = [\"apgd-ce\"]")), None);
        let listed = |entry: &str| {
            name(&format!(
                "task = \"evaluate\"\nevaluate = {{ attacks = [\"none\", {entry}] }}\n[attack]\nepsilon = 0.1\n"
            ))
        };
        assert_eq!(listed("\"auto-attack\"").as_deref(), Some("auto-attack"));
        let named = "{ kind = \"auto-attack\", name = \"aa\" }";
        assert_eq!(listed(named).as_deref(), Some("aa"));
        assert_eq!(listed("{ kind = \"auto-attack\", restarts = 2 }"), None);
    }
}
