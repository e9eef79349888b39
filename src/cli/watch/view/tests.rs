//! What is drawn of made-up runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::Error;
use crate::run::{Metrics, RunFolder, RunStart, StageRecord, files, table};

fn open(results: &Path, name: &str, run: &str) -> RunFolder {
    RunFolder::open(RunStart {
        results,
        name,
        run,
        spec: "[train]\nepochs = 5\n",
        settings: BTreeMap::new(),
        device: "cpu".to_owned(),
        command: ["runner", "my spec.toml", "seed=1"]
            .map(str::to_owned)
            .to_vec(),
        inputs: Vec::new(),
        stages: vec![StageRecord {
            id: "main".to_owned(),
            task: "train".to_owned(),
            seed: None,
            key: "k".to_owned(),
            folder: ".".to_owned(),
            state: RunState::Pending,
            metrics: Metrics::new(),
        }],
    })
    .unwrap()
}

fn row(epoch: u64, split: &str, attack: &str, accuracy: f64, loss: f64) -> MetricsRow {
    MetricsRow {
        stage: "main".to_owned(),
        epoch,
        split: split.to_owned(),
        attack: attack.to_owned(),
        accuracy: Some(accuracy),
        loss: Some(loss),
        seconds: Some(30.0),
        examples_per_second: Some(123.4),
        ..MetricsRow::default()
    }
}

/// A running and a failed run.
fn two(results: &Path) -> RunFolder {
    let failed = open(results, "exp", "seed=0-1f3a9c20");
    failed
        .end::<()>(&Err(Error::failed("no paper\nleft")), None)
        .unwrap();
    let running = open(results, "exp", "seed=1-2a3b4c5d");
    let rows: Vec<MetricsRow> = (1..=3)
        .flat_map(|epoch| {
            let share = epoch as f64 / 4.0;
            [
                row(epoch, "train", "pgd", share, 2.0 - share),
                row(epoch, "test", "none", share - 0.1, 2.5 - share),
            ]
        })
        .collect();
    table::write(&running.path().join(files::METRICS), &rows).unwrap();
    running
}

fn view(results: &Path) -> View {
    let mut view = View::new(Watched::new(results.to_owned(), None));
    view.refresh();
    view
}

fn drawn(view: &mut View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    let lines = symbols.chunks(usize::from(width).max(1));
    lines
        .map(|line| line.concat().trim_end().to_owned())
        .collect()
}

fn press(view: &mut View, code: KeyCode) -> bool {
    view.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn runs_curves_and_keys_fit_80_by_24() {
    let results = tempfile::tempdir().unwrap();
    let _running = two(results.path());
    let lines = drawn(&mut view(results.path()), 80, 24);
    let text = lines.join("\n");
    assert_eq!(lines[0], "1 running, 1 failed");
    assert!(
        lines[1].starts_with("RUN ") && lines[1].contains(" EX/S "),
        "{text}"
    );
    // The one that runs comes first.
    assert!(
        lines[2].starts_with("seed=1") && lines[2].contains(" running 3/5 epochs 2 min 123 "),
        "{text}"
    );
    assert!(
        lines[3].contains(" failed ") && lines[3].ends_with("no paper"),
        "{text}"
    );
    assert_eq!(lines[4], "exp/seed=1-2a3b4c5d");
    assert_eq!(lines[5], "test_accuracy 0.6500, train_pgd_accuracy 0.7500");
    assert_eq!(lines[6], "main  train under pgd  test");
    assert!(
        lines[7].starts_with("accuracy (%)") && lines[7].ends_with("loss"),
        "{text}"
    );
    assert!(
        lines[8].starts_with("75.0│") && lines[8].contains("2.250│"),
        "{text}"
    );
    assert!(lines[22].ends_with("epoch 3"), "{text}");
    assert_eq!(lines[23], KEYS);
    if cfg!(target_os = "linux") {
        assert!(lines[2].contains("iB "), "{text}");
    }
}

#[test]
fn keys_select_show_and_ask() {
    let results = tempfile::tempdir().unwrap();
    let running = two(results.path());
    let log = "{\"timestamp\":\"2025-01-31T12:00:05Z\",\"level\":\"WARN\",\"fields\":{\"message\":\"slow\"}}\n{\"tim";
    fs::write(running.path().join(files::LOG), log).unwrap();
    let mut view = view(results.path());
    assert!(press(&mut view, KeyCode::Char('l')));
    assert_eq!(drawn(&mut view, 80, 24)[6], "12:00:05 WARN slow");
    assert!(press(&mut view, KeyCode::Char('r')));
    let text = drawn(&mut view, 80, 24).join("\n");
    assert!(text.contains("runner 'my spec.toml' seed=1"), "{text}");

    press(&mut view, KeyCode::Char('s'));
    let process = std::process::id();
    let question = format!("stop seed=1-2a3b4c5d: process {process} writes a checkpoint");
    let last = drawn(&mut view, 80, 24).pop().unwrap();
    assert!(
        last.starts_with(&question) && last.ends_with("y/n"),
        "{last}"
    );
    assert!(
        press(&mut view, KeyCode::Esc),
        "this is the answer, not the end"
    );
    assert_eq!(view.message, "not stopped");
    press(&mut view, KeyCode::Char('s'));
    drop(running);
    press(&mut view, KeyCode::Char('y'));
    assert_eq!(view.message, "no process works on it");

    for code in [KeyCode::Down, KeyCode::Down, KeyCode::End] {
        press(&mut view, code);
        assert_eq!(view.table.selected(), Some(1));
    }
    // The order is now that of the names, and the selection stays with its run.
    view.refresh();
    assert_eq!(view.selected().unwrap().run, "seed=0-1f3a9c20");
    press(&mut view, KeyCode::Char('s'));
    assert_eq!(view.message, "seed=0-1f3a9c20: no process works on it");
    assert!(!press(&mut view, KeyCode::Char('q')));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!view.press(control_c));
}

#[test]
fn no_file_and_no_size_ends_it() {
    let results = tempfile::tempdir().unwrap();
    let strange = open(results.path(), "exp", "a");
    let values = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 0.0, 1e-300];
    let rows = (1..).zip(values);
    let rows = rows.map(|(epoch, value)| row(epoch * 1_000_000_007, "train", "", value, value));
    table::write(
        &strange.path().join(files::METRICS),
        &rows.collect::<Vec<_>>(),
    )
    .unwrap();
    let torn = open(results.path(), "exp", "b\u{1b}[2J");
    for file in [files::METRICS, files::LOG, files::SPEC, files::LOCK] {
        fs::write(torn.path().join(file), b"stage,ep\xff\n\xfe").unwrap();
    }
    fs::create_dir(results.path().join("exp/c")).unwrap();
    fs::write(results.path().join("exp/c/run.json"), "{").unwrap();
    let mut view = view(results.path());
    for below in ['-', 'l', 'r'] {
        press(&mut view, KeyCode::Char(below));
        for code in [KeyCode::Home, KeyCode::Down, KeyCode::Down] {
            press(&mut view, code);
            for (width, height) in [(0, 0), (1, 1), (7, 3), (30, 9), (80, 24), (300, 90)] {
                let text = drawn(&mut view, width, height).concat();
                assert!(!text.contains('\u{1b}'));
            }
        }
    }
    fs::remove_dir_all(results.path().join("exp")).unwrap();
    view.refresh();
    drawn(&mut view, 80, 24);
    press(&mut view, KeyCode::Char('s'));
}

#[test]
fn without_a_name_those_with_a_run_under_way_are_watched() {
    let results = tempfile::tempdir().unwrap();
    let names = |watched: &mut Watched| -> Vec<String> {
        let runs = watched.look().unwrap();
        runs.into_iter().map(|run| run.name).collect()
    };
    let mut watched = Watched::new(results.path().to_owned(), None);
    assert!(names(&mut watched).is_empty());
    for name in ["old", "new"] {
        let run = open(results.path(), name, "a");
        run.end(&Ok(()), None).unwrap();
        let record = run.path().join(files::RUN);
        let text = fs::read_to_string(&record).unwrap();
        if name == "old" {
            let year = clock_year(&text);
            fs::write(&record, text.replace(&format!("\"{year}-"), "\"2001-")).unwrap();
        }
    }
    assert_eq!(names(&mut watched), ["new"]);
    let _running = open(results.path(), "now", "a");
    assert_eq!(names(&mut watched), ["now", "new"]);
    let mut later = Watched::new(results.path().to_owned(), None);
    assert_eq!(names(&mut later), ["now"]);
    let mut named = Watched::new(results.path().to_owned(), Some("old".to_owned()));
    assert_eq!(names(&mut named), ["old"]);
}

/// The year in which a record was begun.
fn clock_year(record: &str) -> &str {
    let (_, after) = record.split_once("\"created\": \"").unwrap();
    &after[..4]
}
