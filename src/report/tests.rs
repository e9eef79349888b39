//! Reports of whole result folders, written as a run writes them.

use std::collections::BTreeMap;

use super::*;
use crate::run::{
    Method, Metrics, RunFolder, RunStart, RunState, SimulationRow, StageRecord, TransferRow,
};

fn stage(id: &str, folder: &str) -> StageRecord {
    StageRecord {
        id: id.to_owned(),
        task: "train".to_owned(),
        seed: None,
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

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_summary_has_a_row_a_run_by_number_with_what_tells_them_apart() {
    let results = tempfile::tempdir().unwrap();
    for (k, rate) in [(10, 0.1), (2, 0.2), (5, 0.1)] {
        let spec = format!("seed = 0\n[attack]\nk = {k}\n[optimizer]\nlr = {rate}\n");
        let name = format!("attack.k={k}-00");
        let folder = open(results.path(), &name, &spec, vec![stage("main", ".")]);
        let epoch = |epoch| MetricsRow {
            stage: "main".to_owned(),
            epoch,
            ..MetricsRow::default()
        };
        match k {
            10 => {
                let metrics = Metrics::from([("test_accuracy".to_owned(), 0.25)]);
                folder
                    .set_stage("main", RunState::Finished, Some(metrics))
                    .unwrap();
                folder.end(&Ok(()), None).unwrap();
            }
            5 => {
                let rows = [epoch(1), epoch(2), epoch(3)];
                table::write(&folder.path().join(files::METRICS), &rows).unwrap();
                folder.set_stage("main", RunState::Failed, None).unwrap();
                let outcome = Err::<(), _>(Error::failed("stage a: no, no\nstage b: never"));
                folder.end(&outcome, None).unwrap();
            }
            // Never ended: killed.
            _ => {}
        }
    }
    let named = results.path().join("exp");
    fs::create_dir(named.join("torn")).unwrap();
    fs::write(named.join("torn/run.json"), "{").unwrap();
    let figures = named.join(files::FIGURES);
    fs::create_dir_all(&figures).unwrap();
    for name in [
        "sweep-seed-test_accuracy.svg",
        "epochs-train-none.pdf",
        "mine.svg",
    ] {
        fs::write(figures.join(name), "").unwrap();
    }
    let written = summary(&named, Chosen::default()).unwrap();
    // What is drawn no more goes; what is not the program's stays.
    let left = fs::read_dir(&figures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["mine.svg"]);
    assert_eq!(
        written,
        ["summary.csv", "results.csv", "report.html"].map(|file| named.join(file))
    );
    let page = text(&written[2]);
    for words in [
        "4 runs: 1 interrupted, 1 failed, 1 finished, 1 unreadable",
        "<code>attack.k=5-00</code>: stage a: no, no; stage b: never",
        "<a href=\"attack.k=10-00/\">attack.k=10-00</a>",
        "[attack]\nk = 2",
        "data-value=\"0.25\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("http"), "it needs no network");
    let text = text(&written[0]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "run,state,error,epoch,attack.k,optimizer.lr,test_accuracy",
            "exp/attack.k=2-00,interrupted,,,2,0.2,",
            "exp/attack.k=5-00,failed,\"stage a: no, no; stage b: never\",3,5,0.1,",
            "exp/attack.k=10-00,finished,,0,10,0.1,0.25",
        ]
    );
    assert!(lines[4].starts_with("exp/torn,unreadable,"), "{text}");
    assert!(lines[4].contains("run.json: damaged"), "{text}");
    assert_eq!(lines.len(), 5, "{text}");
}

/// A training and an attack on its result, whose rows lie in the folders of the stages, at two values of a swept key; the
/// second run was killed while it trained.
#[test]
fn results_are_one_measurement_a_row_with_attacks_as_values() {
    let results = tempfile::tempdir().unwrap();
    let row = |stage: &str, epoch, split: &str, attack: &str, accuracy| MetricsRow {
        stage: stage.to_owned(),
        epoch,
        step: 10 * epoch,
        split: split.to_owned(),
        attack: attack.to_owned(),
        accuracy: Some(accuracy),
        ..MetricsRow::default()
    };
    for k in [7, 10] {
        let spec = format!(
            "[[stage]]\nid = 'learn'\nlinbp.attack = false\nattack = {{ kind = 'pgd', k = {k} }}\n\
             [[stage]]\nid = 'craft'\nlinbp.attack = true\nattack = {{ kind = 'auto-attack', k = {k} }}\n"
        );
        let shared = |id: &str, task: &str| StageRecord {
            task: task.to_owned(),
            ..stage(id, &format!("../stages/{id}-{k}"))
        };
        let stages = vec![shared("learn", "train"), shared("craft", "attack")];
        let name = format!("attack.k={k}-00");
        let run = open(results.path(), &name, &spec, stages);
        let write = |id: &str, rows: &[MetricsRow]| {
            let folder = results.path().join(format!("exp/stages/{id}-{k}"));
            fs::create_dir_all(&folder).unwrap();
            table::write(&folder.join(files::METRICS), rows).unwrap();
        };
        if k == 10 {
            let reached = MetricsRow {
                loss: Some(0.1 + 0.2),
                examples: Some(60),
                ..row("learn", 1, "test", "pgd", 0.5)
            };
            write("learn", &[reached]);
            run.set_stage("learn", RunState::Running, None).unwrap();
            continue;
        }
        let learned = [
            row("learn", 1, "train", "none", 0.125),
            row("learn", 2, "train", "none", 0.25),
            row("learn", 2, "test", "pgd", 0.5),
        ];
        write("learn", &learned);
        let crafted = [
            row("craft", 0, "test", "none", 0.75),
            row("craft", 0, "test", "square", 0.5),
            row("craft", 0, "test", "auto-attack", 0.25),
            row("craft", 0, "test", "auto-attack-8bit", 0.375),
        ];
        write("craft", &crafted);
        let rates = Metrics::from([
            ("success_rate".to_owned(), 0.75),
            ("success_rate_8bit".to_owned(), 0.5),
        ]);
        for (id, metrics) in [("learn", Metrics::new()), ("craft", rates)] {
            run.set_stage(id, RunState::Finished, Some(metrics))
                .unwrap();
        }
        run.end(&Ok(()), None).unwrap();
    }
    let written = summary(&results.path().join("exp"), Chosen::default()).unwrap();
    assert_eq!(
        text(&written[1]),
        "run,state,attack.k,stage,task,epoch,step,split,attack,rounding,gradient,surrogate,victim,final,\
         accuracy,best_accuracy,loss,success_rate,l1_distance,lr,examples,seconds,examples_per_second\n\
         exp/attack.k=7-00,finished,7,learn,train,1,10,train,none,none,,,,false,0.125,,,,,,,,\n\
         exp/attack.k=7-00,finished,7,learn,train,2,20,train,none,none,,,,true,0.25,,,,,,,,\n\
         exp/attack.k=7-00,finished,7,learn,train,2,20,test,pgd,none,bp,,,true,0.5,,,,,,,,\n\
         exp/attack.k=7-00,finished,7,craft,attack,,,test,none,none,,,,true,0.75,,,,,,,,\n\
         exp/attack.k=7-00,finished,7,craft,attack,,,test,square,none,,,,true,0.5,,,,,,,,\n\
         exp/attack.k=7-00,finished,7,craft,attack,,,test,auto-attack,none,linbp,,,true,0.25,,,0.75,,,,,\n\
         exp/attack.k=7-00,finished,7,craft,attack,,,test,auto-attack,8bit,linbp,,,true,0.375,,,0.5,,,,,\n\
         exp/attack.k=10-00,interrupted,10,learn,train,1,10,test,pgd,none,bp,,,true,0.5,,0.30000000000000004,,,,60,,\n"
    );
}

/// A row per pair of models and rounding after what the models did without an attack; a row per method of a simulation.
#[test]
fn results_of_transfers_and_simulations_name_models_and_gradients() {
    let results = tempfile::tempdir().unwrap();
    let task = |id: &str, task: &str| StageRecord {
        task: task.to_owned(),
        ..stage(id, &format!("../stages/{id}-k"))
    };
    let stages = vec![task("matrix", "transfer"), task("walk", "simulate")];
    let run = open(results.path(), "00000012", "seed = 0\n", stages);
    let matrix = results.path().join("exp/stages/matrix-k");
    fs::create_dir_all(&matrix).unwrap();
    let cell = |from: &str, attack: &str, linbp| TransferRow {
        from: from.to_owned(),
        to: "b".to_owned(),
        attack: attack.to_owned(),
        linbp,
        accuracy: 0.25,
        accuracy_8bit: Some(0.5),
        success_rate: Some(0.75),
        ..TransferRow::default()
    };
    let rows = [cell("a", "pgd", true), cell("b", "square", false)];
    table::write(&matrix.join(files::TRANSFER), &rows).unwrap();
    let metric = |name: &str, value| (name.to_owned(), value);
    let walked = Metrics::from([
        metric("bp_l1_distance", 2.0),
        metric("bp_loss", 0.5),
        metric("linbp_l1_distance", 1.0),
    ]);
    for (id, metrics) in [
        ("matrix", Metrics::from([metric("b_accuracy", 1.0)])),
        ("walk", walked),
    ] {
        run.set_stage(id, RunState::Finished, Some(metrics))
            .unwrap();
    }
    run.end(&Ok(()), None).unwrap();
    let written = summary(&results.path().join("exp"), Chosen::default()).unwrap();
    let text = text(&written[1]);
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        rows,
        [
            "exp/00000012,finished,,matrix,transfer,,,test,none,none,,,b,true,1.0,,,,,,,,",
            "exp/00000012,finished,,matrix,transfer,,,test,pgd,none,linbp,a,b,true,0.25,,,0.75,,,,,",
            "exp/00000012,finished,,matrix,transfer,,,test,pgd,8bit,linbp,a,b,true,0.5,,,,,,,,",
            "exp/00000012,finished,,matrix,transfer,,,test,square,none,,b,b,true,0.25,,,0.75,,,,,",
            "exp/00000012,finished,,matrix,transfer,,,test,square,8bit,,b,b,true,0.5,,,,,,,,",
            "exp/00000012,finished,,walk,simulate,,,,,,bp,,,true,,,0.5,,2.0,,,,",
            "exp/00000012,finished,,walk,simulate,,,,,,linbp,,,true,,,,,1.0,,,,",
        ]
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
