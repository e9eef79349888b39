//! Reports of whole result folders, written as a run writes them.

use std::collections::BTreeMap;

use super::*;
use crate::run::{Method, Metrics, RunFolder, RunStart, RunState, SimulationRow, StageRecord};

fn stage(id: &str, folder: &str) -> StageRecord {
    StageRecord {
        id: id.to_owned(),
        task: "train".to_owned(),
        key: "k".to_owned(),
        folder: folder.to_owned(),
        state: RunState::Pending,
        metrics: Metrics::new(),
    }
}

fn open(results: &Path, run: &str, spec: &str, stages: Vec<StageRecord>) -> RunFolder {
    RunFolder::open(RunStart {
        results,
        name: "exp",
        run,
        spec,
        settings: BTreeMap::from([
            (
                "attack.k".to_owned(),
                "sweep experiments/a.toml:9".to_owned(),
            ),
            ("seed".to_owned(), "default".to_owned()),
        ]),
        device: "cpu".to_owned(),
        command: Vec::new(),
        inputs: Vec::new(),
        stages,
    })
    .unwrap()
}

#[test]
fn the_summary_has_a_row_a_run_and_columns_for_what_tells_them_apart() {
    let results = tempfile::tempdir().unwrap();
    for (run, k, rate, accuracy) in [("b", 10, 0.1, Some(0.25)), ("a", 5, 0.2, None)] {
        let spec = format!("seed = 0\n[attack]\nk = {k}\n[optimizer]\nlr = {rate}\n");
        let folder = open(results.path(), run, &spec, vec![stage("main", ".")]);
        if let Some(accuracy) = accuracy {
            let metrics = Metrics::from([("test_accuracy".to_owned(), accuracy)]);
            folder
                .set_stage("main", RunState::Finished, Some(metrics))
                .unwrap();
            folder.end(&Ok(()), None).unwrap();
        }
    }
    let written = summary(&results.path().join("exp")).unwrap();
    assert_eq!(written, [results.path().join("exp/summary.csv")]);
    assert_eq!(
        fs::read_to_string(&written[0]).unwrap(),
        "run,state,attack.k,optimizer.lr,test_accuracy\na,interrupted,5,0.2,\nb,finished,10,0.1,0.25\n"
    );
}

#[test]
fn figures_are_drawn_from_the_files_of_the_run() {
    let results = tempfile::tempdir().unwrap();
    let stages = vec![stage("learn", "."), stage("walk", "../stages/walk-k")];
    let run = open(results.path(), "r", "seed = 0\n", stages);
    let row = MetricsRow {
        stage: "learn".to_owned(),
        epoch: 1,
        split: "test".to_owned(),
        attack: "none".to_owned(),
        loss: Some(1.0),
        accuracy: Some(0.5),
        ..MetricsRow::default()
    };
    table::write(&run.path().join(files::METRICS), &[row]).unwrap();
    let walk = results.path().join("exp/stages/walk-k");
    fs::create_dir_all(&walk).unwrap();
    let row = |method| SimulationRow {
        repeat: 0,
        step: 1,
        method,
        l1_distance: 1.0,
        loss: None,
    };
    let rows = [row(Method::Bp), row(Method::Linbp)];
    table::write(&walk.join(files::SIMULATION), &rows).unwrap();
    let names: Vec<String> = figures(run.path())
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "accuracy-learn.svg",
            "loss-learn.svg",
            "simulation-distance-walk.svg"
        ]
    );
}

#[test]
fn a_folder_without_a_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = figures(folder.path()).unwrap_err().to_string();
    assert!(message.contains("no run, it has no run.json"), "{message}");
}
