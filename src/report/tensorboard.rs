//! The rows of `metrics.csv` as an event file that TensorBoard reads.
//!
//! The format is that of github.com/tensorflow/tensorflow: records of `tensorflow/core/lib/io/record_writer.h` (length, masked
//! CRC-32C of it, data, masked CRC-32C of the data), each an `Event` of `tensorflow/core/util/event.proto`.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;

use crate::atomic;
use crate::error::{Error, Result};
use crate::run::{ListedRun, MetricsRow, clock, files, table};

/// The file in a run's folder. TensorBoard takes those for event files whose names have `tfevents` in them.
const FILE: &str = "events.out.tfevents.runner";

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// The event file of a run, which grows as its `metrics.csv` does.
pub struct Events {
    run: PathBuf,
    path: PathBuf,
    /// When the run was begun, in seconds since 1970.
    begun: f64,
    /// What the rows in the file are of. Those of a stage that ends late stand before others in the table.
    written: HashSet<String>,
    /// Seconds that they took.
    seconds: f64,
}

impl Events {
    /// Begins the file of a run anew.
    ///
    /// # Errors
    /// A run that cannot be read, a folder that cannot be written to.
    pub fn new(run: ListedRun) -> Result<Self> {
        let begun = clock::seconds(&run.record?.created).unwrap_or(0.0);
        let path = run.folder.join(FILE);
        let first = Event {
            wall_time: begun,
            file_version: Some("brain.Event:2".to_owned()),
            ..Event::default()
        };
        atomic::write(&path, &record(&first))?;
        Ok(Self {
            run: run.folder,
            path,
            begun,
            written: HashSet::new(),
            seconds: 0.0,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the rows that have come since the last time; how many.
    ///
    /// # Errors
    /// A table that cannot be read, a file that cannot be written to.
    pub fn catch_up(&mut self) -> Result<usize> {
        let rows: Vec<MetricsRow> = table::read(&self.run.join(files::METRICS))?;
        let several = rows.iter().any(|row| row.stage != rows[0].stage);
        let (mut bytes, mut count) = (Vec::new(), 0);
        for row in &rows {
            let of = [&row.stage, &row.split, &row.attack];
            if !self
                .written
                .insert(format!("{of:?} {} {}", row.epoch, row.step))
            {
                continue;
            }
            // No row says when it was written, but how long it took.
            self.seconds += row.seconds.unwrap_or(0.0);
            bytes.extend(record(&event(row, several, self.begun + self.seconds)));
            count += 1;
        }
        if !bytes.is_empty() {
            let mut open = OpenOptions::new();
            let file = open.append(true).open(&self.path);
            file.and_then(|mut file| file.write_all(&bytes))
                .map_err(Error::io("write", &self.path))?;
        }
        Ok(count)
    }
}

/// What a row measured, at the epoch that it follows; of what has no epochs, at 0.
fn event(row: &MetricsRow, several: bool, wall_time: f64) -> Event {
    let stage = if several {
        format!("{}/", row.stage)
    } else {
        String::new()
    };
    let under = match row.attack.as_str() {
        "none" | "" => String::new(),
        attack => format!(" under {attack}"),
    };
    let rate = row.lr.map(|lr| (format!("{stage}learning rate"), lr));
    let named = [("accuracy", row.accuracy), ("loss", row.loss)];
    let named = named.into_iter().filter_map(|(what, value)| {
        // TensorBoard makes a group of what stands before the slash.
        Some((format!("{stage}{what}/{}{under}", row.split), value?))
    });
    let value = named.chain(rate).map(|(tag, value)| Value {
        tag,
        simple_value: value as f32,
    });
    Event {
        wall_time,
        step: row.epoch as i64,
        file_version: None,
        summary: Some(Summary {
            value: value.collect(),
        }),
    }
}

fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(&data);
    bytes.extend(masked(&data).to_le_bytes());
    bytes
}

/// The checksum of a checksummed file must not be that of what is in it: so it is rotated and moved.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{RunFolder, RunStart, runs};
    use std::collections::BTreeMap;

    #[test]
    fn records_are_framed_as_in_the_format() {
        // The checksum of "123456789" in the standard's own table, masked.
        let expected = 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked(b"123456789"), expected);
        let event = Event {
            wall_time: 1.0,
            step: 3,
            file_version: None,
            summary: None,
        };
        let bytes = record(&event);
        let data = event.encode_to_vec();
        assert_eq!(bytes[..8], (data.len() as u64).to_le_bytes());
        assert_eq!(bytes[12..12 + data.len()], data);
        assert_eq!(bytes.len(), 16 + data.len());
    }

    #[test]
    fn the_file_grows_with_the_table() {
        let results = tempfile::tempdir().unwrap();
        let start = RunStart {
            results: results.path(),
            name: "exp",
            run: "a",
            spec: "",
            settings: BTreeMap::new(),
            device: "cpu".to_owned(),
            command: Vec::new(),
            inputs: Vec::new(),
            stages: Vec::new(),
        };
        let folder = RunFolder::open(start).unwrap().path().to_owned();
        let row = |epoch: u64| MetricsRow {
            stage: "main".to_owned(),
            epoch,
            split: "test".to_owned(),
            attack: "pgd".to_owned(),
            accuracy: Some(0.25 * epoch as f64),
            loss: Some(1.0),
            seconds: Some(10.0),
            ..MetricsRow::default()
        };
        let metrics = folder.join(files::METRICS);
        table::write(&metrics, &[row(1)]).unwrap();
        let listed = runs(results.path(), Some("exp")).unwrap().remove(0);
        let mut events = Events::new(listed).unwrap();
        assert_eq!(events.catch_up().unwrap(), 1);
        assert_eq!(events.catch_up().unwrap(), 0);
        table::write(&metrics, &[row(1), row(2), row(3)]).unwrap();
        assert_eq!(events.catch_up().unwrap(), 2);
        let bytes = std::fs::read(events.path()).unwrap();
        let (mut at, mut found) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let data = &bytes[at + 12..at + 12 + length];
            found.push(Event::decode(data).unwrap());
            at += 16 + length;
        }
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        let steps: Vec<i64> = found[1..].iter().map(|event| event.step).collect();
        assert_eq!(steps, [1, 2, 3]);
        assert_eq!(found[3].wall_time - found[0].wall_time, 30.0);
        let values = &found[2].summary.as_ref().unwrap().value;
        let tags: Vec<&str> = values.iter().map(|value| value.tag.as_str()).collect();
        assert_eq!(tags, ["accuracy/test under pgd", "loss/test under pgd"]);
        assert_eq!(values[0].simple_value, 0.5);
    }
}
