//! `simulation.csv`: what both methods did at each recorded step of each repeat.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use super::table::{self, Appender};
use crate::error::{Error, Result};

/// Which backward pass computed the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The true gradient.
    #[default]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

impl Trajectories {
    /// None yet, with room for `steps` points of each.
    pub fn with_capacity(steps: usize) -> Self {
        Self {
            bp: Vec::with_capacity(steps),
            linbp: Vec::with_capacity(steps),
        }
    }
}

/// The lines of one repeat, as the file has them.
#[derive(Debug)]
pub struct RepeatLines {
    repeat: u64,
    text: Vec<u8>,
    last: [Point; 2],
}

impl RepeatLines {
    /// Formats a repeat; separate from writing, so that the threads that compute can do it.
    ///
    /// # Errors
    /// A row that a table cannot hold.
    pub fn new(repeat: u64, trajectories: &Trajectories) -> Result<Self> {
        let pairs = || trajectories.bp.iter().zip(&trajectories.linbp);
        let rows = pairs().flat_map(|(bp, linbp)| {
            [(Method::Bp, bp), (Method::Linbp, linbp)].map(|(method, point)| SimulationRow {
                repeat,
                step: point.step,
                method,
                l1_distance: point.l1_distance,
                loss: Some(point.loss),
            })
        });
        Ok(Self {
            repeat,
            text: table::lines::<SimulationRow>(Path::new(files::SIMULATION), rows)?,
            last: pairs()
                .next_back()
                .map_or_else(Default::default, |(bp, linbp)| [*bp, *linbp]),
        })
    }

    /// The repeat's index.
    pub fn repeat(&self) -> u64 {
        self.repeat
    }
}

/// `simulation.csv` open for appending whole repeats, in order.
///
/// A repeat is a pure function of its index, so a simulation that was killed keeps the repeats that stand as a whole,
/// drops the one that was being written, and ends with the file of one that was never interrupted.
#[derive(Debug)]
pub struct SimulationWriter {
    table: Appender<SimulationRow>,
    last: Vec<[Point; 2]>,
}

impl SimulationWriter {
    /// Opens the file at `path`, which the first repeat makes if there is none; `steps` are the steps that every repeat records.
    pub fn open(path: &Path, steps: &[u64]) -> Result<Self> {
        let mut last = Vec::new();
        let table = Appender::open(path, |whole| {
            let (points, bytes) = whole_repeats(path, whole, steps)?;
            last = points;
            Ok(bytes)
        })?;
        Ok(Self { table, last })
    }

    /// The number of repeats that stand: the index of the next one.
    pub fn repeats_done(&self) -> u64 {
        self.last.len() as u64
    }

    /// The last recorded points of BP and LinBP in each repeat that stands.
    pub fn final_points(&self) -> &[[Point; 2]] {
        &self.last
    }

    /// Appends the next repeats, in order, and waits until they are on the disk.
    pub fn append(&mut self, repeats: &[RepeatLines]) -> Result<()> {
        self.table
            .append_parts(repeats.iter().map(|lines| lines.text.as_slice()))?;
        for lines in repeats {
            debug_assert_eq!(lines.repeat, self.repeats_done(), "repeats are in order");
            self.last.push(lines.last);
        }
        Ok(())
    }
}

/// The last points of the repeats that stand as a whole in `bytes`, and where the last of them ends.
fn whole_repeats(path: &Path, bytes: &[u8], steps: &[u64]) -> Result<(Vec<[Point; 2]>, usize)> {
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let mut end = lines.next().map_or(0, <[u8]>::len);
    let mut position = end;
    let mut last = Vec::new();
    while !steps.is_empty() {
        let mut points = [Point::default(); 2];
        for &step in steps {
            for (method, point) in [Method::Bp, Method::Linbp].into_iter().zip(&mut points) {
                let Some(line) = lines.next() else {
                    return Ok((last, end));
                };
                *point = read_point(line, last.len(), step, method).ok_or_else(|| {
                    Error::failed(format!(
                        "{}: found the line {:?} where repeat {}, step {step}, {} is due: the file was edited or \
                         belongs to other settings; start again with --fresh",
                        path.display(),
                        String::from_utf8_lossy(line).trim_end(),
                        last.len(),
                        method.name()
                    ))
                })?;
                position += line.len();
            }
        }
        end = position;
        last.push(points);
    }
    Ok((last, end))
}

/// The point in a line if it is the one that is due.
fn read_point(line: &[u8], repeat: usize, step: u64, method: Method) -> Option<Point> {
    let due = format!("{repeat},{step},{},", method.name());
    let rest = std::str::from_utf8(line.strip_prefix(due.as_bytes())?).ok()?;
    let (l1_distance, loss) = rest.trim_end().split_once(',')?;
    Some(Point {
        step,
        l1_distance: l1_distance.parse().ok()?,
        loss: loss.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for (index, &offset) in (0..).zip(repeats).skip(done as usize) {
            let lines = RepeatLines::new(index, &repeat(offset)).unwrap();
            writer.append(&[lines]).unwrap();
        }
        let last: Vec<f64> = writer
            .final_points()
            .iter()
            .map(|[_, linbp]| linbp.l1_distance)
            .collect();
        assert_eq!(last, repeats);
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
