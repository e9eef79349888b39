//! Which runs of a plan wait for the same stages.

use std::collections::HashMap;
use std::path::Path;

use super::contents::Contents;
use super::graph::Graph;
use super::inputs;
use super::keys::stage_keys;
use crate::Result;
use crate::experiment::PlannedRun;
use crate::run::{StageFolder, files};

/// Runs that wait for the same stages.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The ids of the stages that each of the runs needs, that several runs of the plan need, and that are not finished.
    pub stages: Vec<String>,
    pub runs: Vec<&'a PlannedRun>,
}

/// The runs by the unfinished stages that they share with others; those that share none are a group too.
///
/// # Errors
/// An input that cannot be read.
pub(super) fn groups<'a>(
    runs: &[&'a PlannedRun],
    named: &Path,
    contents: &Contents,
) -> Result<Vec<Group<'a>>> {
    let unfinished = runs.iter().map(|run| unfinished(run, named, contents));
    let unfinished = unfinished.collect::<Result<Vec<_>>>()?;
    let mut users: HashMap<&(String, String), usize> = HashMap::new();
    for stage in unfinished.iter().flatten() {
        *users.entry(stage).or_default() += 1;
    }
    let mut places = HashMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (run, stages) in runs.iter().zip(&unfinished) {
        let shared: Vec<_> = stages.iter().filter(|stage| users[stage] > 1).collect();
        let ids = shared.iter().map(|(id, _)| id.clone()).collect();
        let place = *places.entry(shared).or_insert_with(|| {
            groups.push(Group {
                stages: ids,
                runs: Vec::new(),
            });
            groups.len() - 1
        });
        groups[place].runs.push(run);
    }
    Ok(groups)
}

/// Id and key of each stage of a run that it shares with others and that is not finished.
fn unfinished(
    run: &PlannedRun,
    named: &Path,
    contents: &Contents,
) -> Result<Vec<(String, String)>> {
    let spec = &run.spec;
    if !spec.staged {
        return Ok(Vec::new());
    }
    let keys = stage_keys(spec, &Graph::new(spec), &inputs::of_stages(spec, contents)?)?;
    let ids = spec.stages.iter().map(|stage| stage.id.clone());
    let open = |(id, key): &(String, String)| {
        let folder = StageFolder::shared_path(named, id, key);
        !folder.join(files::STAGE).is_file()
    };
    Ok(ids.zip(keys).filter(open).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan;
    use crate::spec::Request;

    /// A training over two seeds and an attack on each over two strengths, and one stage that all four share.
    const TEXT: &str = r#"
        data = { kind = "digits" }
        model = { arch = "mlp" }
        optimizer = { lr = 0.1 }
        train = { epochs = 1 }
        [[stage]]
        id = "train"
        task = "train"
        [[stage]]
        id = "craft"
        task = "attack"
        model = { weights = "@train" }
        attack = { kind = "fgsm" }
        [[stage]]
        id = "same"
        task = "train"
        train = { epochs = 2 }
        seed = 5
        [sweep]
        "stage.train.seed" = [1, 2]
        "stage.craft.attack.epsilon" = [0.1, 0.2]
    "#;

    #[test]
    fn runs_are_grouped_by_the_unfinished_stages_that_they_share() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("a.toml");
        std::fs::write(&spec, TEXT).unwrap();
        let request = Request {
            spec,
            ..Request::default()
        };
        let plan = plan(&request).unwrap();
        let contents = Contents::open(folder.path());
        let runs: Vec<&PlannedRun> = plan.runs.iter().collect();
        let named = folder.path().join("a");
        let found = |runs: &[&PlannedRun]| -> Vec<(Vec<String>, usize)> {
            let groups = groups(runs, &named, &contents).unwrap();
            let groups = groups.into_iter();
            groups
                .map(|group| (group.stages, group.runs.len()))
                .collect()
        };
        let both = ["train", "same"].map(str::to_owned).to_vec();
        assert_eq!(found(&runs), [(both.clone(), 2), (both.clone(), 2)]);
        // Nothing is shared by one.
        assert_eq!(found(&runs[..1]), [(Vec::new(), 1)]);
        let finished = unfinished(runs[0], &named, &contents).unwrap();
        let training = StageFolder::shared_path(&named, &finished[0].0, &finished[0].1);
        std::fs::create_dir_all(&training).unwrap();
        std::fs::write(training.join(files::STAGE), "{}").unwrap();
        let one = vec!["same".to_owned()];
        let mut groups = found(&runs);
        groups.sort();
        assert_eq!(groups, [(one, 2), (both, 2)]);
    }
}
