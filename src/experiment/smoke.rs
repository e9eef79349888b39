//! `--smoke`: shrinks any experiment to seconds, to see that all of it works.

use std::path::PathBuf;

use super::experiment::{ExperimentSpec, StageSpec};
use crate::models::WeightsRef;
use crate::spec::section::cap;

const TRAIN_LIMIT: usize = 128;
const TEST_LIMIT: usize = 64;

/// Shrinks an experiment and gives it a name of its own, so that its results stand apart. Returns remarks on what that
/// changes beside sizes.
pub(crate) fn shrink(spec: &mut ExperimentSpec) -> Vec<String> {
    let mut remarks = Vec::new();
    spec.name.push_str("-smoke");
    for stage in &mut spec.stages {
        let prefix = if spec.staged {
            format!("stage.{}.", stage.id)
        } else {
            String::new()
        };
        for key in shrink_stage(stage) {
            spec.provenance
                .insert(format!("{prefix}{key}"), "--smoke".into());
        }
        if let Some(file) = forgo_extra(stage) {
            let key = format!("{prefix}data.extra");
            remarks.push(format!(
                "--smoke: {key}: {} is not there, no further images are used",
                file.display()
            ));
            spec.provenance.insert(key, "--smoke".into());
        }
        for (key, file) in forgo_weights(stage) {
            let key = format!("{prefix}{key}");
            remarks.push(format!(
                "--smoke: {key}: {} is not there, the model gets random weights",
                file.display()
            ));
            spec.provenance.insert(key, "--smoke".into());
        }
    }
    remarks
}

/// Leaves out the file of extra images where it is not there; returns it.
fn forgo_extra(stage: &mut StageSpec) -> Option<PathBuf> {
    let extra = &mut stage.task.data_mut()?.extra;
    let gone = extra.take_if(|extra| !extra.file.exists())?;
    Some(gone.file)
}

/// Leaves out the files of weights that are not there; returns the keys and the files.
fn forgo_weights(stage: &mut StageSpec) -> Vec<(String, PathBuf)> {
    let mut forgone = Vec::new();
    for (key, model) in stage.task.models_mut() {
        match &model.weights {
            Some(WeightsRef::File(file)) if !file.exists() => {
                forgone.push((format!("{key}.weights"), file.clone()));
                model.weights = None;
            }
            _ => {}
        }
    }
    forgone
}

/// Shrinks a stage; returns the keys that changed.
fn shrink_stage(stage: &mut StageSpec) -> Vec<String> {
    let mut changed = stage.task.shrink();
    let training = stage.task.reads_training_images();
    let Some(data) = stage.task.data_mut() else {
        return changed;
    };
    let limits = [
        ("data.train_limit", &mut data.train_limit, TRAIN_LIMIT),
        ("data.test_limit", &mut data.test_limit, TEST_LIMIT),
    ];
    // What is not read needs no limit.
    for (key, limit, most) in limits.into_iter().skip(usize::from(!training)) {
        if cap(limit.get_or_insert(usize::MAX), most) {
            changed.push(key.to_owned());
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use crate::experiment::plan;
    use crate::spec::Request;

    #[test]
    fn attacks_shrink_also_where_their_numbers_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("a.toml");
        let text = "task = \"evaluate\"\ndata.kind = \"digits\"\nmodel = { arch = \"mlp\", weights = \"w\" }\n\
                    evaluate.attacks = [\"apgd\", \"square\"]\nattack = { epsilon = 0.1, restarts = 50 }\n";
        std::fs::write(&spec, text).unwrap();
        let request = Request {
            spec,
            smoke: true,
            ..Request::default()
        };
        let plan = plan(&request).unwrap();
        let remark = "--smoke: model.weights: w is not there, the model gets random weights";
        assert!(
            plan.warnings.iter().any(|line| line == remark),
            "{:?}",
            plan.warnings
        );
        assert_eq!(plan.runs[0].spec.stages[0].task.models()[0].1.weights, None);
        let attacks = plan.runs[0].spec.stages[0].task.attacks();
        let settings: Vec<toml::Table> = attacks
            .iter()
            .map(|entry| toml::Table::try_from(&entry.settings).unwrap())
            .collect();
        assert_eq!(settings[0]["k"].as_integer(), Some(2), "of apgd");
        assert_eq!(settings[1]["n_queries"].as_integer(), Some(10));
        assert!(
            settings
                .iter()
                .all(|own| own["restarts"].as_integer() == Some(2))
        );
    }
}
