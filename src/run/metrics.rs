//! `metrics.csv`: one row per evaluation point, and the rule that makes a resumed run end with the same file.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{self, Appender};
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
    /// `train`, `test`, `validation` or `guard`.
    pub split: String,
    /// `none`, or the attack that the examples were under.
    pub attack: String,
    /// Mean loss per example.
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

pub(super) type Key = (String, u64, u64, String, String);

impl MetricsRow {
    pub(super) fn key(&self) -> Key {
        (
            self.stage.clone(),
            self.epoch,
            self.step,
            self.split.clone(),
            self.attack.clone(),
        )
    }

    /// What it measured, as metrics are named: the split, and the attack where there is one.
    pub fn measured(&self) -> String {
        match self.attack.as_str() {
            "none" | "" => self.split.clone(),
            attack => format!("{}_{attack}", self.split),
        }
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

/// Where a row belongs, in words.
fn position(row: &MetricsRow) -> String {
    format!(
        "stage {}, epoch {}, step {}, split {}, attack {}",
        row.stage, row.epoch, row.step, row.split, row.attack
    )
}

/// `metrics.csv` open for appending.
///
/// A run that was killed goes on from its last checkpoint, so it computes again what it had already written after
/// that checkpoint. Such a row is not written twice: the row that stands is kept, timings and all, and must say
/// what was computed now. A checkpoint knows the rows before it, so those that got lost are written again.
#[derive(Debug)]
pub struct MetricsWriter {
    table: Appender<MetricsRow>,
    rows: Vec<MetricsRow>,
    /// Where each row stands.
    written: HashMap<Key, usize>,
    exact: bool,
}

impl MetricsWriter {
    /// Opens the file at `path`, which the first row makes if there is none. `exact`: whether results are the same bit for
    /// bit when they are computed again, so that a difference is an error; otherwise it is a warning in the log. Rows that
    /// stand twice are reduced to one, with a warning.
    pub fn open(path: &Path, exact: bool) -> Result<Self> {
        let (table, found): (_, Vec<MetricsRow>) = Appender::open_with_rows(path)?;
        let mut writer = Self {
            table,
            rows: Vec::with_capacity(found.len()),
            written: HashMap::with_capacity(found.len()),
            exact,
        };
        let all = found.len();
        for row in found {
            match writer.standing(&row) {
                None => writer.push(row),
                Some(standing) if *standing == row => {}
                Some(_) => {
                    return Err(writer.changed(&format!("has two rows for {}", position(&row))));
                }
            }
        }
        let doubled = all - writer.rows.len();
        if doubled > 0 {
            writer.rewrite(writer.rows.clone())?;
            tracing::warn!(
                "{}: {doubled} rows stood twice; once is left",
                path.display()
            );
        }
        Ok(writer)
    }

    /// Appends `row`, whole and synced, unless it stands already.
    pub fn append(&mut self, row: MetricsRow) -> Result<()> {
        self.keep(row).map(drop)
    }

    /// As [`MetricsWriter::append`]; gives the row that stands.
    pub fn keep(&mut self, row: MetricsRow) -> Result<MetricsRow> {
        let Some(earlier) = self.standing(&row) else {
            self.table.append(&row)?;
            self.push(row.clone());
            return Ok(row);
        };
        let Some((column, now, before)) = row.difference(earlier) else {
            return Ok(earlier.clone());
        };
        let message = format!(
            "{}: {}: {column} is {now} now and was {before} before the interruption: other data, another machine or \
             another version",
            self.table.path().display(),
            position(&row),
        );
        if self.exact {
            return Err(Error::failed(format!(
                "{message}; start again with --fresh"
            )));
        }
        tracing::warn!("{message}; the earlier row stays");
        Ok(earlier.clone())
    }

    /// Has the file begin with the rows in `due`, which a checkpoint knows, in their order; what was written after them
    /// follows. Rows that are missing are written again, with a warning.
    ///
    /// # Errors
    /// A row that says something else than the checkpoint does: the file was changed.
    pub fn hold(&mut self, due: &[MetricsRow]) -> Result<()> {
        let mut missing = 0;
        for row in due {
            match self.standing(row) {
                None => missing += 1,
                Some(standing) if standing == row => {}
                Some(standing) => {
                    let difference = row.difference(standing);
                    let (column, due, found) = difference.unwrap_or_else(|| {
                        (
                            "seconds",
                            format!("{:?}", row.seconds),
                            format!("{:?}", standing.seconds),
                        )
                    });
                    return Err(self.changed(&format!(
                        "{}: {column} is {found}, and {due} in the checkpoint",
                        position(row)
                    )));
                }
            }
        }
        let keys: HashSet<Key> = due.iter().map(MetricsRow::key).collect();
        let later = self.rows.iter().filter(|row| !keys.contains(&row.key()));
        let expected: Vec<MetricsRow> = due.iter().chain(later).cloned().collect();
        if expected == self.rows {
            return Ok(());
        }
        self.rewrite(expected)?;
        let path = self.table.path().display();
        match missing {
            0 => tracing::warn!("{path}: its rows stood in another order; that is mended"),
            _ => tracing::warn!(
                "{path}: {missing} of {} rows were missing; they are restored from the checkpoint",
                due.len()
            ),
        }
        Ok(())
    }

    /// As [`MetricsWriter::hold`], where `all` are the rows that the file must end with.
    pub fn end(&mut self, all: &[MetricsRow]) -> Result<()> {
        self.hold(all)?;
        match self.rows.get(all.len()) {
            None => Ok(()),
            Some(stranger) => Err(self.changed(&format!(
                "{}: this training has no such row",
                position(stranger)
            ))),
        }
    }

    fn standing(&self, row: &MetricsRow) -> Option<&MetricsRow> {
        Some(&self.rows[*self.written.get(&row.key())?])
    }

    fn push(&mut self, row: MetricsRow) {
        self.written.insert(row.key(), self.rows.len());
        self.rows.push(row);
    }

    fn rewrite(&mut self, rows: Vec<MetricsRow>) -> Result<()> {
        let path = self.table.path().to_owned();
        table::write(&path, &rows)?;
        (self.table, _) = Appender::open_with_rows(&path)?;
        self.rows.clear();
        self.written.clear();
        rows.into_iter().for_each(|row| self.push(row));
        Ok(())
    }

    fn changed(&self, what: &str) -> Error {
        Error::failed(format!(
            "{}: {what}: the file was changed; undo that, or remove the file: the same command then writes its rows again",
            self.table.path().display()
        ))
    }
}

#[cfg(test)]
mod tests;
