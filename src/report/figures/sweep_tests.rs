//! Charts over what was swept, of runs in memory.

use super::*;
use crate::report::comparison::Chosen;
use crate::report::comparison::{ComparedRun, ComparedStage};
use crate::report::settings::Settings;
use crate::run::{Metrics, RunState, StageRecord};

fn stage(id: &str) -> ComparedStage {
    ComparedStage {
        record: StageRecord {
            id: id.to_owned(),
            task: "evaluate".to_owned(),
            seed: None,
            key: String::new(),
            folder: ".".to_owned(),
            state: RunState::Finished,
            metrics: Metrics::new(),
        },
        rows: Vec::new(),
        transfer: Vec::new(),
    }
}

fn run(epsilon: f64, linear: bool, seed: i64, accuracy: f64, state: RunState) -> ComparedRun {
    ComparedRun {
        run: format!("exp/{epsilon}-{linear}-{seed}"),
        state: Some(state),
        error: None,
        settings: Settings::from([
            ("attack.epsilon".to_owned(), Value::Float(epsilon)),
            ("linbp.attack".to_owned(), Value::Boolean(linear)),
            ("seed".to_owned(), Value::Integer(seed)),
        ]),
        metrics: Metrics::from([("test_pgd_accuracy".to_owned(), accuracy)]),
        stages: Vec::new(),
    }
}

#[test]
fn one_chart_a_number_and_one_line_a_combination() {
    let done = RunState::Finished;
    let comparison = Comparison {
        keys: ["attack.epsilon", "linbp.attack", "seed"]
            .map(str::to_owned)
            .to_vec(),
        runs: vec![
            run(0.1, true, 0, 0.25, done),
            run(0.2, false, 0, 0.5, done),
            run(0.1, false, 0, 0.75, done),
            run(0.1, false, 1, 0.25, done),
            run(0.2, true, 0, 0.125, done),
            run(0.3, true, 0, 0.0, RunState::Failed),
        ],
        chosen: Chosen::default(),
    };
    let groups = groups(&comparison);
    let scale = Scale::of(&groups, "attack.epsilon").unwrap();
    let lines = series(
        &groups,
        ("attack.epsilon", &scale),
        &[("linbp.attack", "linbp.attack")],
        &vec![(Vec::new(), "test_pgd_accuracy".to_owned())],
        100.0,
    );
    assert_eq!(
        (lines[0].name.as_str(), lines[1].name.as_str()),
        ("BP", "LinBP")
    );
    assert_eq!(lines[0].points, [(0.1, 50.0), (0.2, 50.0)]);
    assert!((lines[0].deviations[0] - 100.0 * 0.125f64.sqrt()).abs() < 1e-9);
    assert_eq!(lines[1].points, [(0.1, 25.0), (0.2, 12.5)]);
    assert!(lines[1].deviations.is_empty());
    let charts = charts("exp", &comparison).unwrap();
    assert_eq!(charts.len(), 1);
    assert_eq!(charts[0].0, "sweep-attack.epsilon-test_pgd_accuracy");
    for words in [
        "attack.epsilon (1 = full pixel range)",
        "test pgd accuracy (%)",
        "(mean ± std of 1 to 2 seeds)",
    ] {
        assert!(charts[0].1.contains(words), "{words}");
    }
}

#[test]
fn choices_stand_apart_where_no_number_was_swept() {
    let runs: Vec<ComparedRun> = [false, true]
        .into_iter()
        .flat_map(|linear| {
            (0..3).map(move |seed| run(0.1, linear, seed, 0.1 * seed as f64, RunState::Finished))
        })
        .collect();
    let comparison = Comparison {
        keys: ["linbp.attack", "seed"].map(str::to_owned).to_vec(),
        runs,
        chosen: Chosen::default(),
    };
    let charts = charts("exp", &comparison).unwrap();
    assert_eq!(charts.len(), 1);
    assert_eq!(charts[0].0, "sweep-linbp.attack-test_pgd_accuracy");
    for tick in ["BP", "LinBP"] {
        assert!(charts[0].1.lines().any(|line| line == tick), "{tick}");
    }
}

/// One chart of the stages' metric, over the key that they share; a metric of one stage has a chart of its own.
#[test]
fn stages_that_share_a_key_are_lines_of_one_chart() {
    let staged = |linear: bool| {
        let mut run = run(0.1, linear, 0, 0.5, RunState::Finished);
        // In training there is no attack: it stays as it is there.
        let values = [("a", linear), ("b", linear), ("0", false)];
        let settings = values
            .map(|(stage, value)| (format!("stage.{stage}.linbp.attack"), Value::Boolean(value)));
        run.settings = settings.into();
        let metrics = ["a.test_accuracy", "a.success_rate", "b.test_accuracy"];
        run.metrics = metrics.map(|name| (name.to_owned(), 0.5)).into();
        run.stages = ["a", "b"].map(stage).into();
        run
    };
    let comparison = Comparison {
        keys: ["0", "a", "b"]
            .map(|stage| format!("stage.{stage}.linbp.attack"))
            .to_vec(),
        runs: [false, true].map(staged).into(),
        chosen: Chosen::default(),
    };
    let charts = charts("exp", &comparison).unwrap();
    let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "sweep-linbp.attack-a.success_rate",
            "sweep-linbp.attack-test_accuracy",
        ]
    );
    for words in ["a", "b", "linbp.attack", "test accuracy (%)"] {
        assert!(charts[1].1.lines().any(|line| line == words), "{words}");
    }
    let mut apart = comparison;
    let other = Value::Boolean(true);
    apart.runs[0]
        .settings
        .insert("stage.b.linbp.attack".to_owned(), other);
    let groups = groups(&apart);
    let [key] = keys(&apart, &groups)[..] else {
        panic!("the runs differ in one setting")
    };
    assert_eq!(shared_name(key, &apart), "stage.a.linbp.attack");
}

/// What a transfer does by BP and by LinBP is a line each of one chart.
#[test]
fn both_rules_of_a_transfer_are_lines_of_one_chart() {
    let transfer = |epsilon: f64| {
        let mut run = run(epsilon, false, 0, 0.5, RunState::Finished);
        let names = ["pgd", "pgd_linbp", "square"];
        run.metrics = names
            .map(|attack| (format!("transfer_{attack}_success_rate"), 0.5))
            .into();
        run
    };
    let comparison = Comparison {
        keys: vec!["attack.epsilon".to_owned()],
        runs: [0.1, 0.2].map(transfer).into(),
        chosen: Chosen::default(),
    };
    let charts = charts("exp", &comparison).unwrap();
    let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
    let both = "sweep-attack.epsilon-transfer_pgd_success_rate";
    let alone = "sweep-attack.epsilon-transfer_square_success_rate";
    assert_eq!(names, [both, alone]);
    let has = |chart: usize, words: &str| charts[chart].1.lines().any(|line| line == words);
    assert!(has(0, "BP") && has(0, "LinBP"));
    assert!(!has(1, "BP") && !has(1, "LinBP"));
}

#[test]
fn wide_ranges_are_logarithmic_with_ticks_at_what_was_swept() {
    let runs = [0.001, 0.01, 0.1].map(|epsilon| run(epsilon, false, 0, 0.5, RunState::Finished));
    let comparison = Comparison {
        keys: vec!["attack.epsilon".to_owned()],
        runs: runs.into(),
        chosen: Chosen::default(),
    };
    let groups = groups(&comparison);
    let scale = Scale::of(&groups, "attack.epsilon").unwrap();
    assert!(scale.is_log);
    let labels = ["0.001", "0.01", "0.1"].map(str::to_owned);
    let Ticks::At(ticks) = scale.ticks("attack.epsilon") else {
        panic!("few values have a tick each")
    };
    for ((at, label), (expected, position)) in
        ticks.iter().zip(labels.iter().zip([-3.0, -2.0, -1.0]))
    {
        assert_eq!(label, expected);
        assert!((at - position).abs() < 1e-12);
    }
    let one = run(0.1, false, 0, 0.5, RunState::Finished);
    let single = Comparison {
        keys: Vec::new(),
        runs: vec![one],
        chosen: Chosen::default(),
    };
    assert!(charts("exp", &single).unwrap().is_empty());
}
