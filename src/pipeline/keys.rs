//! The key of a stage: a hash of all that decides what it computes.

use super::graph::Graph;
use crate::Result;
use crate::data::ImagesRef;
use crate::experiment::{ExperimentSpec, FORMAT_VERSION};
use crate::models::WeightsRef;
use crate::run::Input;
use crate::spec::StageRef;

/// The key of every stage, in the order of the spec: a hash of its resolved settings, the contents of what it reads
/// (`inputs`, of every stage), the keys of the stages that it uses, and the format version. Neither its id nor how often it
/// writes checkpoints is part of it.
///
/// # Errors
/// A setting that TOML cannot hold, such as a path that is not UTF-8.
pub fn stage_keys(
    spec: &ExperimentSpec,
    graph: &Graph,
    inputs: &[Vec<Input>],
) -> Result<Vec<String>> {
    let mut keys = vec![String::new(); spec.stages.len()];
    for position in graph.order() {
        let mut stage = spec.stages[position].clone();
        let key_of = |id: &str| {
            let source = spec.stages.iter().position(|stage| stage.id == id);
            source.map_or_else(|| id.to_owned(), |source| keys[source].clone())
        };
        for (_, model) in stage.task.models_mut() {
            if let Some(WeightsRef::Stage(id, _)) = &mut model.weights {
                *id = key_of(id);
            }
        }
        for images in stage.task.adversarial_mut() {
            if let ImagesRef::Stage(StageRef(id)) = images {
                *id = key_of(id);
            }
        }
        let mut text = format!("{FORMAT_VERSION}\n{}", stage.identity()?);
        for input in &inputs[position] {
            text.push_str(&format!("{} {}\n", input.what, input.hash));
        }
        keys[position] = blake3::hash(text.as_bytes()).to_hex().to_string();
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::experiment::plan;
    use crate::spec::Request;

    const TEXT: &str = r#"
        data = { kind = "digits" }
        model = { arch = "lenet5" }
        [[stage]]
        id = "craft"
        task = "attack"
        model = { weights = "@train" }
        attack = { kind = "fgsm", epsilon = 0.1 }
        [[stage]]
        id = "train"
        task = "train"
        optimizer = { lr = 0.1 }
        train = { epochs = 1 }
    "#;

    /// The keys of the attack and of the training.
    fn keys(text: &str, overrides: &[&str]) -> [String; 2] {
        keys_with(text, overrides, &[Vec::new(), Vec::new()])
    }

    fn keys_with(text: &str, overrides: &[&str], inputs: &[Vec<Input>]) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, text).unwrap();
        let request = Request {
            spec: file,
            overrides: overrides.iter().map(|text| text.to_string()).collect(),
            ..Request::default()
        };
        let spec = &plan(&request).unwrap().runs[0].spec;
        stage_keys(spec, &Graph::new(spec), inputs)
            .unwrap()
            .try_into()
            .unwrap()
    }

    #[test]
    fn what_changes_a_result_changes_its_key_and_those_that_use_it() {
        let [craft, train] = keys(TEXT, &[]);
        let [craft_2, train_2] = keys(TEXT, &["stage.train.optimizer.lr=0.2"]);
        assert!(craft != craft_2 && train != train_2);
        let [craft_2, train_2] = keys(TEXT, &["stage.craft.attack.epsilon=0.2"]);
        assert!(craft != craft_2 && train == train_2);
    }

    #[test]
    fn what_is_read_is_part_of_the_key_by_its_content() {
        let read = |hash: &str| {
            let images = Input::new("test images", Path::new("data"), hash.to_owned());
            keys_with(TEXT, &[], &[Vec::new(), vec![images]])
        };
        let [craft, train] = keys(TEXT, &[]);
        let [craft_1, train_1] = read("1");
        let [craft_2, train_2] = read("2");
        assert!(train != train_1 && train_1 != train_2);
        // The attack reads nothing itself, but what it attacks was trained on other images.
        assert!(craft != craft_1 && craft_1 != craft_2);
        assert_eq!(read("1"), [craft_1, train_1]);
    }

    #[test]
    fn names_and_checkpoints_change_no_key() {
        let before = keys(TEXT, &[]);
        assert_eq!(
            keys(
                TEXT,
                &["name=b", "checkpoint.keep=7", "checkpoint.every=5 steps"]
            ),
            before
        );
        let renamed = TEXT
            .replace("\"train\"\n        task", "\"teach\"\n        task")
            .replace("@train", "@teach");
        assert_ne!(renamed, TEXT);
        assert_eq!(keys(&renamed, &[]), before);
    }
}
