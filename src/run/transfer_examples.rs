//! `transfer_examples.csv`: what each model answers to each image that was made on each.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{self, Appender};
use crate::error::{Error, Result};

/// One image of an attack on one model, judged by one model as floats. Classes are numbers in the order of the data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransferExampleRow {
    /// The model that the image was made on.
    pub from: String,
    /// The model that judges it.
    pub to: String,
    /// The attack.
    pub attack: String,
    /// Whether the attack's gradients came by LinBP.
    pub linbp: bool,
    /// Position in the split.
    pub index: usize,
    /// True class.
    pub label: u32,
    /// What `to` answers to the image without an attack.
    pub clean_prediction: u32,
    /// What `to` answers to the adversarial image; missing where there was no attack.
    pub adversarial_prediction: Option<u32>,
    /// Whether that is what the attack wants; missing where there was no attack.
    pub success: Option<bool>,
    /// Whether `to` is the model that the image was made on, or one of an ensemble.
    pub white_box: bool,
}

/// The images that an attack made on a model: the model, the attack and whether by LinBP.
pub type MadeOn = (String, String, bool);

impl TransferExampleRow {
    /// The images that it is one of.
    pub fn made_on(&self) -> MadeOn {
        (self.from.clone(), self.attack.clone(), self.linbp)
    }

    /// The rows of a table; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or other columns.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        table::read(path)
    }

    /// Opens a table in which all images that were made on a model have so many rows, one after the other, and gives those that
    /// stand. It ends before the first that lack rows or that `stand` does not know.
    ///
    /// # Errors
    /// A file that cannot be read, or other columns.
    pub fn open(
        path: &Path,
        rows_each: usize,
        stand: impl Fn(&MadeOn) -> bool,
    ) -> Result<(Appender<Self>, Vec<MadeOn>)> {
        let mut found: Vec<MadeOn> = Vec::new();
        let appender = Appender::open(path, |whole| {
            let malformed = |error: csv::Error| {
                Error::failed(format!(
                    "{}: {error}; correct the file, or start again with --fresh",
                    path.display()
                ))
            };
            let mut reader = csv::Reader::from_reader(whole);
            let header = reader.headers().map_err(malformed)?.clone();
            let mut kept = reader.position().byte();
            let mut record = csv::StringRecord::new();
            let mut under_way: Option<(MadeOn, usize)> = None;
            while reader.read_record(&mut record).map_err(malformed)? {
                let row: Self = record.deserialize(Some(&header)).map_err(malformed)?;
                let (made_on, count) = under_way.take().unwrap_or_else(|| (row.made_on(), 0));
                let is_next = made_on == row.made_on() && !found.contains(&made_on);
                if !is_next || !stand(&made_on) {
                    break;
                }
                if count + 1 == rows_each {
                    kept = reader.position().byte();
                    found.push(made_on);
                } else {
                    under_way = Some((made_on, count + 1));
                }
            }
            Ok(kept as usize)
        })?;
        Ok((appender, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(from: &str, index: usize) -> TransferExampleRow {
        TransferExampleRow {
            from: from.to_owned(),
            to: "b".to_owned(),
            attack: "pgd".to_owned(),
            linbp: true,
            index,
            label: 3,
            clean_prediction: 3,
            ..TransferExampleRow::default()
        }
    }

    #[test]
    fn golden_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let attacked = TransferExampleRow {
            adversarial_prediction: Some(5),
            success: Some(true),
            ..row("a, c", 1)
        };
        let (mut table, _) = TransferExampleRow::open(&path, 2, |_| true).unwrap();
        for row in [&row("a, c", 0), &attacked] {
            table.append(row).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "from,to,attack,linbp,index,label,clean_prediction,adversarial_prediction,success,white_box\n\
             \"a, c\",b,pgd,true,0,3,3,,,false\n\
             \"a, c\",b,pgd,true,1,3,3,5,true,false\n"
        );
        let read = TransferExampleRow::read(&path).unwrap();
        assert_eq!(read, [row("a, c", 0), attacked]);
    }

    #[test]
    fn what_is_not_whole_or_does_not_stand_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let (mut table, found) = TransferExampleRow::open(&path, 2, |_| true).unwrap();
        assert!(found.is_empty());
        for from in ["a", "b", "c"] {
            for index in 0..2 {
                table.append(&row(from, index)).unwrap();
            }
        }
        table.append(&row("d", 0)).unwrap();
        let reopened = |stand: fn(&MadeOn) -> bool| {
            let (_, found) = TransferExampleRow::open(&path, 2, stand).unwrap();
            let from: Vec<String> = found.into_iter().map(|(from, ..)| from).collect();
            (
                from.concat(),
                TransferExampleRow::read(&path).unwrap().len(),
            )
        };
        assert_eq!(reopened(|_| true), ("abc".to_owned(), 6), "d lacks a row");
        assert_eq!(reopened(|(from, ..)| from != "b"), ("a".to_owned(), 2));
        std::fs::write(&path, "other,columns\n").unwrap();
        assert!(TransferExampleRow::open(&path, 2, |_| true).is_err());
    }
}
