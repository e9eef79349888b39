//! A spec to start from: for a task every key that it may have, those that it needs with values that run as they are.

use toml::{Table, Value};

use super::sections::sections;
use crate::attacks::{AttackKind, AttackName};
use crate::spec::{Key, TaskKind};

/// Columns of a comment.
const WIDTH: usize = 120;

/// The values that a first spec has.
fn values(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Simulate => "simulate = { kind = \"two-layer-attack\" }",
        TaskKind::Train => {
            "data = { kind = \"digits\" }\nmodel = { arch = \"lenet5\" }\noptimizer = { lr = 0.05 }\ntrain = { epochs = 2 }"
        }
        TaskKind::AdversarialTrain => {
            "data = { kind = \"digits\" }\nmodel = { arch = \"lenet5\" }\noptimizer = { lr = 0.05 }\ntrain = { epochs = 2 }\n\
             attack = { kind = \"pgd\", epsilon = 0.1, step_size = 0.03, k = 5 }"
        }
        TaskKind::Attack => {
            "data = { kind = \"digits\", test_limit = 500 }\nmodel = { arch = \"lenet5\" }\n\
             attack = { kind = \"pgd\", epsilon = 0.1, step_size = 0.01, k = 20 }"
        }
        TaskKind::Evaluate => {
            "data = { kind = \"digits\", test_limit = 500 }\nmodel = { arch = \"lenet5\" }\n\
             evaluate = { attacks = [\"none\", \"pgd\"] }\nattack = { epsilon = 0.1, step_size = 0.01, k = 20 }"
        }
        TaskKind::Transfer => {
            "data = { kind = \"digits\", test_limit = 500 }\nattack = { kind = \"pgd\", epsilon = 0.1, step_size = 0.01, k = 20 }\n\
             transfer = { models = { one = { arch = \"lenet5\" }, other = { arch = \"mlp\" } } }"
        }
    }
}

/// A spec of the task with every key: those with a value, and as comments all others, each under what it means.
pub fn template(task: TaskKind) -> String {
    let given: Table = values(task).parse().unwrap_or_default();
    let mut text = format!("task = \"{task}\"\n# seed = 0\n");
    for section in sections() {
        if !task.uses(section.name, task != TaskKind::Train) {
            continue;
        }
        let given = given.get(section.name).and_then(Value::as_table);
        let given = given.cloned().unwrap_or_default();
        // Of the attacks the one that is there.
        let named = given.get("kind").and_then(Value::as_str);
        let kind = named
            .and_then(AttackName::find)
            .map_or(AttackKind::Pgd, |named| named.kind);
        let others = AttackKind::all_keys();
        let own = kind.description().keys;
        let is_another = |key: &Key| {
            let has = |keys: &[Key]| keys.iter().any(|other| other.name == key.name);
            section.name == "attack" && has(&others) && !has(own)
        };
        text += &format!("\n[{}]\n", section.name);
        for key in section.keys.iter().filter(|key| !is_another(key)) {
            text += &wrapped(key.doc);
            text += &match given.get(key.name) {
                Some(value) => format!("{} = {value}\n", key.name),
                None => format!("# {} =\n", key.name),
            };
        }
    }
    text
}

/// Words as lines of a comment.
fn wrapped(words: &str) -> String {
    let mut text = String::from("#");
    let mut column = 1;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column + 1 + length > WIDTH {
            text += "\n#";
            column = 1;
        }
        text.push(' ');
        text += word;
        column += 1 + length;
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan;
    use crate::spec::Request;

    #[test]
    fn a_template_of_every_task_is_sound_and_names_every_key() {
        let folder = tempfile::tempdir().unwrap();
        for name in TaskKind::NAMES {
            let text = template(TaskKind::from_name(name).unwrap());
            let spec = folder.path().join(format!("{name}.toml"));
            std::fs::write(&spec, &text).unwrap();
            let request = Request {
                spec,
                ..Request::default()
            };
            let plan = plan(&request).unwrap();
            // Weights are the one thing that no template can name.
            let others = plan
                .warnings
                .iter()
                .filter(|warning| !warning.contains("weights: not set"));
            assert_eq!(others.count(), 0, "{:?}", plan.warnings);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        }
        let text = template(TaskKind::AdversarialTrain);
        assert!(text.contains("\n# momentum =\n"), "{text}");
        assert!(text.contains("\nepsilon = 0.1\n"), "{text}");
        assert!(!text.contains("n_queries"), "{text}");
    }
}
