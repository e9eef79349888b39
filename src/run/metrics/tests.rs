use super::*;
use crate::run::table;
use std::fs;

fn row(epoch: u64, loss: f64) -> MetricsRow {
    MetricsRow {
        stage: "main".into(),
        epoch,
        step: epoch * 391,
        split: "test".into(),
        attack: "pgd".into(),
        loss: Some(loss),
        accuracy: Some(0.5),
        lr: Some(0.01),
        examples: Some(10_000),
        seconds: Some(1.25),
        ..MetricsRow::default()
    }
}

#[test]
fn golden_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mut writer = MetricsWriter::open(&path, true).unwrap();
    writer.append(row(1, 2.1972245773362196)).unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "stage,epoch,step,split,attack,loss,accuracy,best_accuracy,lr,examples,seconds,examples_per_second\n\
         main,1,391,test,pgd,2.1972245773362196,0.5,,0.01,10000,1.25,\n"
    );
    assert_eq!(
        table::read::<MetricsRow>(&path).unwrap(),
        [row(1, 2.1972245773362196)]
    );
}

#[test]
fn a_row_computed_again_leaves_the_earlier_one_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mut writer = MetricsWriter::open(&path, true).unwrap();
    writer.append(row(1, 2.0)).unwrap();
    writer.append(row(2, 1.0)).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    drop(writer);

    let mut resumed = MetricsWriter::open(&path, true).unwrap();
    let slower = MetricsRow {
        seconds: Some(99.0),
        ..row(2, 1.0)
    };
    resumed.append(slower).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    resumed.append(row(3, 0.5)).unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with(&before));
}

#[test]
fn a_row_that_differs_is_an_error_where_results_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    MetricsWriter::open(&path, true)
        .unwrap()
        .append(row(1, 2.0))
        .unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let message = MetricsWriter::open(&path, true)
        .unwrap()
        .append(row(1, 2.5))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("loss is 2.5 now and was 2.0 before"),
        "{message}"
    );
    assert!(message.contains("--fresh"), "{message}");
    MetricsWriter::open(&path, false)
        .unwrap()
        .append(row(1, 2.5))
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

/// A file with the rows of these epochs, opened, and the rows that a checkpoint after three epochs knows.
fn after_three(epochs: &[u64]) -> (tempfile::TempDir, Result<MetricsWriter>, Vec<MetricsRow>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let row = |epoch: u64| row(epoch, 1.0 / epoch as f64);
    let rows: Vec<_> = epochs.iter().map(|&epoch| row(epoch)).collect();
    table::write(&path, &rows).unwrap();
    let writer = MetricsWriter::open(&path, true);
    (folder, writer, (1..=3).map(row).collect())
}

#[test]
fn rows_that_the_checkpoint_knows_are_restored() {
    for (found, left) in [
        (vec![], vec![1, 2, 3]),
        (vec![1], vec![1, 2, 3]),
        (vec![2, 3], vec![1, 2, 3]),
        (vec![1, 3, 4], vec![1, 2, 3, 4]),
        (vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        (vec![1, 2, 3, 1, 2, 3], vec![1, 2, 3]),
        (vec![3, 2, 1], vec![1, 2, 3]),
    ] {
        let (folder, writer, due) = after_three(&found);
        let mut writer = writer.unwrap();
        writer.hold(&due).unwrap();
        writer.append(row(5, 0.2)).unwrap();
        let path = folder.path().join("metrics.csv");
        let rows = table::read::<MetricsRow>(&path).unwrap();
        let epochs: Vec<u64> = rows.iter().map(|row| row.epoch).collect();
        assert_eq!(epochs, [left, vec![5]].concat(), "{found:?}");
        assert_eq!(rows[..3], due);
    }
}

#[test]
fn rows_that_contradict_the_checkpoint_are_refused_with_the_file_named() {
    let (_folder, writer, mut due) = after_three(&[1, 2, 3]);
    due[1].loss = Some(0.75);
    let message = writer.unwrap().hold(&due).unwrap_err().to_string();
    assert!(
        message.contains("metrics.csv: stage main, epoch 2, step 782, split test, attack pgd: loss is 0.5, and 0.75"),
        "{message}"
    );
    let (_folder, writer, due) = after_three(&[1, 2, 3, 9]);
    let message = writer.unwrap().end(&due).unwrap_err().to_string();
    assert!(message.contains("epoch 9, "), "{message}");
    let (folder, _, mut due) = after_three(&[1, 2, 3]);
    let path = folder.path().join("metrics.csv");
    due.push(row(2, 7.0));
    table::write(&path, &due).unwrap();
    let message = MetricsWriter::open(&path, true).unwrap_err().to_string();
    assert!(
        message.contains("has two rows for stage main, epoch 2"),
        "{message}"
    );
}
