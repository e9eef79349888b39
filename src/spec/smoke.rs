//! `--smoke`: shrinks any experiment to seconds, to see that all of it works.

use super::experiment::{ExperimentSpec, StageSpec};
use super::range::Iterations;

const TRAIN_LIMIT: usize = 128;
const TEST_LIMIT: usize = 64;
const BATCH_SIZE: usize = 32;
const ITERATIONS: usize = 2;
const QUERIES: usize = 10;
const RESTARTS: usize = 2;
const REPEATS: usize = 2;
const STEPS: usize = 100;

/// Shrinks an experiment and gives it a name of its own, so that its results stand apart.
pub(crate) fn shrink(spec: &mut ExperimentSpec) {
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
    }
}

/// Shrinks a stage; returns the keys that changed.
fn shrink_stage(stage: &mut StageSpec) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let mut cap = |key: &'static str, value: &mut usize, most: usize| {
        if *value > most {
            *value = most;
            changed.push(key);
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
    if let Some(attack) = stage.attack.as_mut() {
        cap("attack.n_queries", &mut attack.n_queries, QUERIES);
        cap("attack.restarts", &mut attack.restarts, RESTARTS);
    }
    if let Some(k) = stage.attack.as_mut().and_then(|attack| attack.k.as_mut()) {
        let mut number = k.get();
        cap("attack.k", &mut number, ITERATIONS);
        *k = Iterations::new(number).unwrap_or(*k);
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
                    evaluate.attacks = [\"apgd\", \"square\"]\nattack = { kind = \"fgsm\", epsilon = 0.1, restarts = 50 }\n";
        std::fs::write(&spec, text).unwrap();
        let request = Request {
            spec,
            smoke: true,
            ..Request::default()
        };
        let plan = plan(&request).unwrap();
        let attack = plan.runs[0].spec.stages[0].attack.as_ref().unwrap();
        assert_eq!(attack.k.map(|k| k.get()), Some(super::ITERATIONS));
        assert_eq!(
            (attack.restarts, attack.n_queries),
            (super::RESTARTS, super::QUERIES)
        );
    }
}
