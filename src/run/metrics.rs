//! `metrics.csv`: one row an evaluation point, and the rule that makes a resumed run end with the same file.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{Appender, Row};
use crate::error::{Error, Result};

/// What was measured at one point of a stage. Its key is (stage, epoch, step, split, attack).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsRow {
    /// The stage's id.
    pub stage: String,
    /// Epochs done, from 1; 0 before the first and where there are none.
    pub epoch: u64,
    /// Optimizer steps done since the stage began.
    pub step: u64,
    /// `train` or `test`.
    pub split: String,
    /// `none`, or the attack that the examples were under.
    pub attack: String,
    /// Mean loss an example.
    pub loss: Option<f64>,
    /// Share of examples classified correctly, from 0 to 1.
    pub accuracy: Option<f64>,
    /// The best accuracy so far of this split under this attack.
    pub best_accuracy: Option<f64>,
    /// Learning rate of the epoch.
    pub lr: Option<f64>,
    /// Examples that loss and accuracy are over.
    pub examples: Option<u64>,
    /// Wall-clock seconds that it took.
    pub seconds: Option<f64>,
    /// Examples a second.
    pub examples_per_second: Option<f64>,
}

impl Row for MetricsRow {
    const COLUMNS: &'static [&'static str] = &[
        "stage",
        "epoch",
        "step",
        "split",
        "attack",
        "loss",
        "accuracy",
        "best_accuracy",
        "lr",
        "examples",
        "seconds",
        "examples_per_second",
    ];
}

type Key = (String, u64, u64, String, String);

impl MetricsRow {
    fn key(&self) -> Key {
        (
            self.stage.clone(),
            self.epoch,
            self.step,
            self.split.clone(),
            self.attack.clone(),
        )
    }

    /// The first column in which `other` was computed differently. Timings are not results.
    fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        let text = |value: Option<f64>| value.map_or("nothing".to_owned(), |v| format!("{v:?}"));
        let floats = [
            ("loss", self.loss, other.loss),
            ("accuracy", self.accuracy, other.accuracy),
            ("best_accuracy", self.best_accuracy, other.best_accuracy),
            ("lr", self.lr, other.lr),
        ];
        for (column, mine, theirs) in floats {
            if bits(mine) != bits(theirs) {
                return Some((column, text(mine), text(theirs)));
            }
        }
        (self.examples != other.examples).then(|| {
            let text = |n: Option<u64>| n.map_or("nothing".to_owned(), |n| n.to_string());
            ("examples", text(self.examples), text(other.examples))
        })
    }
}

/// `metrics.csv` open for appending.
///
/// A run that was killed goes on from its last checkpoint, so it computes again what it had already written after
/// that checkpoint. Such a row is not written twice: the row that stands is kept, timings and all, and must say
/// what was computed now.
#[derive(Debug)]
pub struct MetricsWriter {
    table: Appender<MetricsRow>,
    written: HashMap<Key, MetricsRow>,
    exact: bool,
}

impl MetricsWriter {
    /// Opens the file at `path`, which the first row makes if there is none. `exact`: whether results are the same bit for bit when
    /// they are computed again, so that a difference is an error; otherwise it is a warning in the log.
    pub fn open(path: &Path, exact: bool) -> Result<Self> {
        let (table, rows): (_, Vec<MetricsRow>) = Appender::open_with_rows(path)?;
        let written = rows.into_iter().map(|row| (row.key(), row)).collect();
        Ok(Self {
            table,
            written,
            exact,
        })
    }

    /// Appends `row`, whole and synced, unless it stands already.
    pub fn append(&mut self, row: MetricsRow) -> Result<()> {
        let key = row.key();
        let Some(earlier) = self.written.get(&key) else {
            self.table.append(&row)?;
            self.written.insert(key, row);
            return Ok(());
        };
        let Some((column, now, before)) = row.difference(earlier) else {
            return Ok(());
        };
        let message = format!(
            "{}: stage {}, epoch {}, step {}, split {}, attack {}: {column} is {now} now and was {before} \
             before the interruption: other data, another machine or another version",
            self.table.path().display(),
            row.stage,
            row.epoch,
            row.step,
            row.split,
            row.attack
        );
        if self.exact {
            return Err(Error::failed(format!(
                "{message}; start again with --fresh"
            )));
        }
        tracing::warn!("{message}; the earlier row stays");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
}
