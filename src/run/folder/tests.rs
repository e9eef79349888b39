//! Tests of the module around them.

use super::*;

fn start<'a>(results: &'a Path, spec: &'a str) -> RunStart<'a> {
    RunStart {
        results,
        name: "exp",
        run: "1f3a9c20",
        spec,
        settings: BTreeMap::from([("seed".to_owned(), "default".to_owned())]),
        device: "cpu".to_owned(),
        command: vec!["runner".to_owned(), "a.toml".to_owned()],
        inputs: Vec::new(),
        stages: vec![StageRecord {
            id: "main".to_owned(),
            task: "train".to_owned(),
            seed: None,
            key: "abc".to_owned(),
            folder: ".".to_owned(),
            state: RunState::Pending,
            metrics: Metrics::new(),
        }],
    }
}

#[test]
fn spec_and_record_stand_before_the_first_step_and_a_restart_counts() {
    let results = tempfile::tempdir().unwrap();
    let folder = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
    assert!(folder.path().ends_with("exp/1f3a9c20"));
    assert_eq!(
        fs::read_to_string(folder.path().join(files::SPEC)).unwrap(),
        "seed = 0\n"
    );
    let record = RunRecord::read(folder.path()).unwrap().unwrap();
    assert_eq!(record, folder.record());
    assert_eq!((record.state, record.attempts), (RunState::Running, 1));
    assert_eq!(record.settings["seed"], "default");
    assert_eq!(record.actual_state(folder.path()), RunState::Running);

    let metrics = Metrics::from([("loss".to_owned(), 0.5), ("bad".to_owned(), f64::NAN)]);
    folder
        .set_stage("main", RunState::Running, Some(metrics))
        .unwrap();
    let path = folder.path().to_owned();
    drop(folder);
    // The process is gone and the record still says that it runs.
    assert_eq!(
        RunRecord::read(&path).unwrap().unwrap().actual_state(&path),
        RunState::Interrupted
    );
    let again = RunFolder::open(start(results.path(), "# a comment\nseed = 0\n")).unwrap();
    let record = again.record();
    assert_eq!((record.state, record.attempts), (RunState::Running, 2));
    assert_eq!(record.stages[0].state, RunState::Interrupted);
    assert_eq!(
        record.stages[0].metrics,
        Metrics::from([("loss".to_owned(), 0.5)])
    );
}

#[test]
fn outcomes_are_recorded_and_a_finished_run_is_left_alone() {
    let results = tempfile::tempdir().unwrap();
    let folder = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
    folder
        .end::<()>(&Err(Error::failed("out of paper")), None)
        .unwrap();
    assert_eq!(folder.record().state, RunState::Failed);
    assert_eq!(folder.record().error.as_deref(), Some("out of paper"));
    folder.end::<()>(&Err(Error::Interrupted), None).unwrap();
    assert_eq!(folder.record().state, RunState::Interrupted);
    assert_eq!(folder.record().error, None);
    folder.end(&Ok(()), None).unwrap();
    let text = fs::read(folder.path().join(files::RUN)).unwrap();
    drop(folder);
    let again = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
    assert!(again.is_finished());
    assert_eq!(fs::read(again.path().join(files::RUN)).unwrap(), text);
}

#[test]
fn a_folder_in_use_is_refused() {
    let results = tempfile::tempdir().unwrap();
    let _owner = RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
    let message = RunFolder::open(start(results.path(), "seed = 0\n"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("exp/1f3a9c20: in use by process"),
        "{message}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_a_remedy() {
    let results = tempfile::tempdir().unwrap();
    let file = results.path().join("results");
    fs::write(&file, "not a folder").unwrap();
    let message = RunFolder::open(start(&file, "seed = 0\n"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("results/exp/1f3a9c20: cannot create"),
        "{message}"
    );
    assert!(message.contains("--results DIR"), "{message}");
}

#[test]
fn an_edited_spec_is_refused() {
    let results = tempfile::tempdir().unwrap();
    drop(RunFolder::open(start(results.path(), "seed = 0\n")).unwrap());
    let message = RunFolder::open(start(results.path(), "seed = 1\n"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("spec.toml: differs from the spec of this run"),
        "{message}"
    );
}

#[test]
fn rows_of_stages_are_collected_in_the_order_of_the_spec() {
    let results = tempfile::tempdir().unwrap();
    let stages = ["a", "b", "c"].map(|id| StageRecord {
        id: id.to_owned(),
        task: "train".to_owned(),
        seed: None,
        key: "k".to_owned(),
        folder: format!("../stages/{id}-k"),
        state: RunState::Pending,
        metrics: Metrics::new(),
    });
    let folder = RunFolder::open(RunStart {
        stages: stages.to_vec(),
        ..start(results.path(), "seed = 0\n")
    })
    .unwrap();
    let collected = || -> Vec<(String, u64)> {
        folder.collect_metrics().unwrap();
        let rows: Vec<MetricsRow> = table::read(&folder.path().join(files::METRICS)).unwrap();
        rows.into_iter().map(|row| (row.stage, row.epoch)).collect()
    };
    let ends = |id: &str, epochs: u64| {
        let path = results.path().join(format!("exp/stages/{id}-k"));
        fs::create_dir_all(&path).unwrap();
        let rows: Vec<MetricsRow> = (1..=epochs)
            .map(|epoch| MetricsRow {
                stage: id.to_owned(),
                epoch,
                ..MetricsRow::default()
            })
            .collect();
        table::write(&path.join(files::METRICS), &rows).unwrap();
    };
    ends("c", 1);
    assert!(collected().is_empty(), "no stage has begun");
    assert!(!folder.path().join(files::METRICS).exists());
    folder.set_stage("c", RunState::Finished, None).unwrap();
    assert_eq!(collected(), [("c".to_owned(), 1)]);
    ends("a", 1);
    folder.set_stage("a", RunState::Interrupted, None).unwrap();
    let row = |id: &str, epoch| (id.to_owned(), epoch);
    assert_eq!(collected(), [row("a", 1), row("c", 1)]);
    ends("a", 2);
    assert_eq!(collected(), [row("a", 1), row("a", 2), row("c", 1)]);
}

fn input(hash: &str) -> Vec<Input> {
    vec![Input::new("weights", Path::new("w.pt"), hash.to_owned())]
}

#[test]
fn a_run_with_results_goes_on_with_its_own_inputs_alone() {
    let results = tempfile::tempdir().unwrap();
    let open = |hash: &str| {
        RunFolder::open(RunStart {
            inputs: input(hash),
            ..start(results.path(), "seed = 0\n")
        })
    };
    let path = open("one").unwrap().path().to_owned();
    // Nothing has come of it yet: a data set that was mended may be tried again.
    assert_eq!(open("two").unwrap().record().inputs, Some(input("two")));
    fs::write(path.join(files::METRICS), "").unwrap();
    let message = open("three").unwrap_err().to_string();
    assert!(
        message.contains("weights of w.pt changed (content two, now three) since this run began"),
        "{message}"
    );
    assert!(message.contains("--fresh"), "{message}");
    open("two").unwrap();
    // A record of a version that did not name inputs.
    let record = RunRecord::read(&path).unwrap().unwrap();
    write_record(
        &path,
        &RunRecord {
            inputs: None,
            ..record
        },
    )
    .unwrap();
    open("three").unwrap();
}

#[test]
fn the_programs_that_worked_on_a_run_are_kept() {
    let results = tempfile::tempdir().unwrap();
    let open = || RunFolder::open(start(results.path(), "seed = 0\n")).unwrap();
    let folder = open();
    assert!(folder.other_program().is_none());
    let mut record = folder.record();
    assert_eq!(record.programs.len(), 1);
    record.code.commit = Some("0123456789abcdef".to_owned());
    // As in a record of a version that did not keep them.
    record.programs.clear();
    write_record(folder.path(), &record).unwrap();
    drop(folder);
    for _ in 0..2 {
        let again = open();
        let now = again.record();
        let commits: Vec<_> = now.programs.iter().map(|program| &program.commit).collect();
        assert_eq!(commits, [&record.code.commit, &Code::current().commit]);
        assert_eq!(now.programs[0].started, record.started);
    }
    write_record(&results.path().join("exp/1f3a9c20"), &record).unwrap();
    let words = open().other_program().map(Code::words).unwrap();
    assert!(words.ends_with(" of commit 0123456789"), "{words}");
}
