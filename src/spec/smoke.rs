//! `--smoke`: shrinks any experiment to seconds, to see that all of it works.

use std::path::PathBuf;

use super::experiment::{ExperimentSpec, StageSpec};
use super::section::Section;
use super::sections::{EvalAttack, WeightsRef};

const TRAIN_LIMIT: usize = 128;
const TEST_LIMIT: usize = 64;
const BATCH_SIZE: usize = 32;
const REPEATS: usize = 2;
const STEPS: usize = 100;

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

/// Leaves out the files of weights that are not there; returns the keys and the files.
fn forgo_weights(stage: &mut StageSpec) -> Vec<(String, PathBuf)> {
    let own = stage.model.iter_mut();
    let own = own.map(|model| ("model.weights".to_owned(), model));
    let transfer = stage.transfer.iter_mut();
    let transfer = transfer.flat_map(|transfer| transfer.models.iter_mut());
    let transfer = transfer.map(|(name, model)| (format!("transfer.models.{name}.weights"), model));
    let mut forgone = Vec::new();
    for (key, model) in own.chain(transfer) {
        match &model.weights {
            Some(WeightsRef::File(file)) if !file.exists() => {
                forgone.push((key, file.clone()));
                model.weights = None;
            }
            _ => {}
        }
    }
    forgone
}

/// Shrinks a stage; returns the keys that changed.
fn shrink_stage(stage: &mut StageSpec) -> Vec<String> {
    let mut changed = Vec::new();
    let mut cap = |key: &'static str, value: &mut usize, most: usize| {
        if *value > most {
            *value = most;
            changed.push(key.to_owned());
        }
    };
    if let Some(data) = &mut stage.data {
        cap("data.batch_size", &mut data.batch_size, BATCH_SIZE);
        cap(
            "data.eval_batch_size",
            &mut data.eval_batch_size,
            BATCH_SIZE,
        );
        if stage.task.is_training() {
            cap(
                "data.train_limit",
                data.train_limit.get_or_insert(usize::MAX),
                TRAIN_LIMIT,
            );
        }
        cap(
            "data.test_limit",
            data.test_limit.get_or_insert(usize::MAX),
            TEST_LIMIT,
        );
    }
    if let Some(train) = &mut stage.train {
        cap("train.epochs", &mut train.epochs, 1);
        cap("evaluate.every", &mut stage.evaluate.every, 1);
    }
    if let Some(simulate) = &mut stage.simulate {
        cap("simulate.repeats", &mut simulate.repeats, REPEATS);
        cap("simulate.steps", &mut simulate.steps, STEPS);
    }
    let lists = stage
        .evaluate
        .attacks
        .iter_mut()
        .filter_map(|evaluation| match evaluation {
            EvalAttack::Attack(entry) => Some(("evaluate.attacks", &mut entry.settings)),
            EvalAttack::None => None,
        });
    let transfer = stage
        .transfer
        .iter_mut()
        .flat_map(|transfer| &mut transfer.attacks);
    let lists = lists.chain(transfer.map(|entry| ("transfer.attacks", &mut entry.settings)));
    for (key, settings) in lists {
        if !settings.shrink().is_empty() {
            changed.push(key.to_owned());
        }
    }
    if let Some(attack) = &mut stage.attack {
        changed.extend(attack.shrink().iter().map(|key| format!("attack.{key}")));
    }
    changed
}

#[cfg(test)]
mod tests {
    use crate::spec::{Request, plan};

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
        assert_eq!(
            plan.runs[0].spec.stages[0].model.as_ref().unwrap().weights,
            None
        );
        let attacks = plan.runs[0].spec.stages[0].attacks();
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
