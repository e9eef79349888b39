//! `simulation.csv`: what both methods did at each recorded step of each repeat.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{Appender, Row};
use crate::error::{Error, Result};

/// Which backward pass computed the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The true gradient.
    Bp,
    /// The gradient with the activation's derivative replaced by 1.
    Linbp,
}

impl Method {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bp => "bp",
            Self::Linbp => "linbp",
        }
    }
}

/// One recorded step of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulationRow {
    /// Repeat, from 0: the index of its random stream.
    pub repeat: u64,
    /// Steps done, from 1.
    pub step: u64,
    /// Whose step it was.
    pub method: Method,
    /// Distance to the target in the l1 norm, after the step.
    pub l1_distance: f64,
    /// Loss, where the simulation has one.
    pub loss: Option<f64>,
}

impl Row for SimulationRow {
    const COLUMNS: &'static [&'static str] = &["repeat", "step", "method", "l1_distance", "loss"];
}

/// What is recorded of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Steps done, from 1.
    pub step: u64,
    /// Distance to the target in the l1 norm.
    pub l1_distance: f64,
    /// Loss.
    pub loss: f64,
}

/// The points of both methods in one repeat, at the same steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectories {
    /// By the true gradient.
    pub bp: Vec<Point>,
    /// By the linear one.
    pub linbp: Vec<Point>,
}

/// `simulation.csv` open for appending whole repeats, in order.
///
/// A repeat is a pure function of its index, so a simulation that was killed keeps the repeats that stand as a whole,
/// drops the one that was being written, and ends with the file of one that was never interrupted.
#[derive(Debug)]
pub struct SimulationWriter {
    table: Appender<SimulationRow>,
    done: u64,
    text: String,
}

impl SimulationWriter {
    /// Opens the file at `path`, making it if there is none; `steps` are the steps that every repeat records.
    pub fn open(path: &Path, steps: &[u64]) -> Result<Self> {
        let mut done = 0;
        let table = Appender::open(path, |whole| {
            let (repeats, bytes) = whole_repeats(path, whole, steps)?;
            done = repeats;
            Ok(bytes)
        })?;
        Ok(Self {
            table,
            done,
            text: String::new(),
        })
    }

    /// The number of repeats that stand: the index of the next one.
    pub fn repeats_done(&self) -> u64 {
        self.done
    }

    /// Appends the next repeat and waits until it is on the disk.
    pub fn append(&mut self, repeat: &Trajectories) -> Result<()> {
        self.text.clear();
        for (bp, linbp) in repeat.bp.iter().zip(&repeat.linbp) {
            for (method, point) in [(Method::Bp, bp), (Method::Linbp, linbp)] {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    self.text,
                    "{},{},{},{:?},{:?}",
                    self.done,
                    point.step,
                    method.name(),
                    point.l1_distance,
                    point.loss
                );
            }
        }
        self.table.append_lines(self.text.as_bytes())?;
        self.done += 1;
        Ok(())
    }
}

/// How many repeats stand as a whole in `bytes`, and where the last of them ends.
fn whole_repeats(path: &Path, bytes: &[u8], steps: &[u64]) -> Result<(u64, usize)> {
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let mut end = lines.next().map_or(0, <[u8]>::len);
    let (mut repeat, mut position) = (0, end);
    'repeats: loop {
        for step in steps {
            for method in [Method::Bp, Method::Linbp] {
                let Some(line) = lines.next() else {
                    break 'repeats;
                };
                let expected = format!("{repeat},{step},{},", method.name());
                if !line.starts_with(expected.as_bytes()) {
                    return Err(Error::failed(format!(
                        "{}: found the line {:?} where repeat {repeat}, step {step}, {} is due: the file was \
                         edited or belongs to other settings; start again with --fresh",
                        path.display(),
                        String::from_utf8_lossy(line).trim_end(),
                        method.name()
                    )));
                }
                position += line.len();
            }
        }
        if steps.is_empty() {
            break;
        }
        repeat += 1;
        end = position;
    }
    Ok((repeat, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::table;
    use std::fs;

    fn repeat(offset: f64) -> Trajectories {
        let point = |step, l1_distance| Point {
            step,
            l1_distance,
            loss: 0.5,
        };
        Trajectories {
            bp: vec![point(1, offset + 0.25), point(2, offset + 1e-7)],
            linbp: vec![point(1, offset), point(2, offset)],
        }
    }

    fn write(path: &Path, repeats: &[f64]) -> u64 {
        let mut writer = SimulationWriter::open(path, &[1, 2]).unwrap();
        let done = writer.repeats_done();
        for &offset in &repeats[done as usize..] {
            writer.append(&repeat(offset)).unwrap();
        }
        done
    }

    #[test]
    fn golden_text_that_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("simulation.csv");
        write(&path, &[0.0]);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "repeat,step,method,l1_distance,loss\n0,1,bp,0.25,0.5\n0,1,linbp,0.0,0.5\n0,2,bp,1e-7,0.5\n\
             0,2,linbp,0.0,0.5\n"
        );
        let rows: Vec<SimulationRow> = table::read(&path).unwrap();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[2].l1_distance, 1e-7);
        assert_eq!(rows[3].method, Method::Linbp);
    }

    #[test]
    fn a_file_cut_anywhere_ends_as_if_it_had_not_been() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("simulation.csv");
        let repeats = [1.0, 2.0, 3.0];
        write(&path, &repeats);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let done = write(&path, &repeats);
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at byte {cut}");
            assert_eq!(done == 3, cut == whole.len());
        }
    }

    #[test]
    fn rows_of_other_settings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("simulation.csv");
        write(&path, &[1.0]);
        let message = SimulationWriter::open(&path, &[1, 3])
            .unwrap_err()
            .to_string();
        assert!(message.contains("repeat 0, step 3, bp is due"), "{message}");
    }
}
