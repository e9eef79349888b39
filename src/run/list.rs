//! The runs under the folder of all results, as their files tell.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::files;
use super::metrics::MetricsRow;
use super::order::by_number;
use super::record::{RunRecord, RunState};
use super::table;
use crate::error::{Error, Result};

/// One run as its files tell.
#[derive(Debug)]
pub struct ListedRun {
    /// The experiment's name.
    pub name: String,
    /// The run's name under it.
    pub run: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What `run.json` says, or why it cannot be read.
    pub record: Result<RunRecord>,
}

impl ListedRun {
    /// Where the run really stands; `None` if its record cannot be read.
    pub fn state(&self) -> Option<RunState> {
        let record = self.record.as_ref().ok()?;
        Some(record.actual_state(&self.folder))
    }

    /// How far it is, in words; empty where its files do not tell.
    fn progress(&self) -> String {
        let Ok(record) = &self.record else {
            return String::new();
        };
        if record.stages.len() > 1 {
            let finished = |stage: &&super::StageRecord| stage.state == RunState::Finished;
            let done = record.stages.iter().filter(finished).count();
            return format!("{done}/{} stages", record.stages.len());
        }
        let total = |section: &str, key: &str| {
            let text = fs::read_to_string(self.folder.join(files::SPEC)).ok()?;
            let spec: toml::Table = text.parse().ok()?;
            spec.get(section)?.get(key)?.as_integer()
        };
        if let Some(epochs) = total("train", "epochs") {
            return format!("{}/{epochs} epochs", self.epochs_done());
        }
        match total("simulate", "repeats") {
            Some(repeats) if record.state == RunState::Finished => {
                format!("{repeats}/{repeats} repeats")
            }
            Some(repeats) => format!("{}/{repeats} repeats", self.repeats_done().unwrap_or(0)),
            None => String::new(),
        }
    }

    fn epochs_done(&self) -> u64 {
        let rows = table::read::<MetricsRow>(&self.folder.join(files::METRICS));
        let epochs = rows.iter().flatten().map(|row| row.epoch);
        epochs.max().unwrap_or(0)
    }

    /// Repeats that stand before the one in the last line of `simulation.csv`, which may have more lines to come.
    fn repeats_done(&self) -> Option<u64> {
        let mut file = File::open(self.folder.join(files::SIMULATION)).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(1000)))
            .ok()?;
        let mut end = Vec::new();
        file.take(1000).read_to_end(&mut end).ok()?;
        let text = String::from_utf8_lossy(table::whole_lines(&end)).into_owned();
        text.lines().last()?.split(',').next()?.parse().ok()
    }

    /// The last metrics of its stages in one line; those of stages are named after them where there are several.
    /// Losses are left out where there are accuracies: a line is for comparing.
    fn metrics(&self) -> String {
        let record = match &self.record {
            Ok(record) => record,
            Err(error) => return error.to_string(),
        };
        if let Some(error) = &record.error {
            return error.lines().next().unwrap_or_default().to_owned();
        }
        let several = record.stages.len() > 1;
        let mut parts = Vec::new();
        for stage in &record.stages {
            let comparable = |name: &str| !name.ends_with("loss");
            let some = stage.metrics.keys().any(|name| comparable(name));
            for (name, value) in &stage.metrics {
                if !some || comparable(name) {
                    let stage = if several { stage.id.as_str() } else { "" };
                    let dot = if several { "." } else { "" };
                    parts.push(format!("{stage}{dot}{name} {value:.4}"));
                }
            }
        }
        parts.join(", ")
    }
}

/// The runs under `results`, or those of `name` alone, in the order of the numbers in their names. Errors when there is nothing by
/// that name.
pub fn runs(results: &Path, name: Option<&str>) -> Result<Vec<ListedRun>> {
    let names = folders(results)?;
    if let Some(name) = name.filter(|name| !names.iter().any(|found| found == name)) {
        let known = match names.as_slice() {
            [] => "there are no runs at all".to_owned(),
            names => format!("there are runs of {}", names.join(", ")),
        };
        return Err(Error::spec(format!(
            "{}: no runs of {name:?}; {known}",
            results.display()
        )));
    }
    let mut found = Vec::new();
    for experiment in names
        .iter()
        .filter(|found| name.is_none_or(|name| name == *found))
    {
        let named = results.join(experiment);
        let runs = match folders(&named) {
            Ok(runs) => runs,
            // One folder that cannot be read hides nothing but its own runs.
            Err(error) if name.is_none() => {
                found.push(ListedRun {
                    name: experiment.clone(),
                    run: String::new(),
                    folder: named,
                    record: Err(error),
                });
                continue;
            }
            Err(error) => return Err(error),
        };
        for run in runs {
            let folder = named.join(&run);
            let record = match RunRecord::read(&folder) {
                Ok(Some(record)) => Ok(record),
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            found.push(ListedRun {
                name: experiment.clone(),
                run,
                folder,
                record,
            });
        }
    }
    Ok(found)
}

/// The names of the folders in `folder`, in order; none if there is no such folder.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder))?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort_by(|a, b| by_number(a, b));
    Ok(names)
}

/// The runs under `results`, or those of `name` alone, as an aligned table: state, progress, last metrics.
pub fn list(results: &Path, name: Option<&str>) -> Result<String> {
    let runs = runs(results, name)?;
    if runs.is_empty() {
        return Ok(format!("no runs under {}\n", results.display()));
    }
    let mut rows = vec![["NAME", "RUN", "STATE", "PROGRESS", "LAST METRICS"].map(str::to_owned)];
    rows.extend(runs.iter().map(|run| {
        let state = run.state().map_or("unreadable", RunState::name);
        [
            run.name.clone(),
            run.run.clone(),
            state.to_owned(),
            run.progress(),
            run.metrics(),
        ]
    }));
    Ok(aligned(&rows))
}

/// The name of a run's folder without the number behind it, and the number: 1 where there is none. A run whose inputs changed after it had finished is
/// run anew in a folder with the next number.
pub fn split_number(name: &str) -> (&str, usize) {
    let numbered = name.rsplit_once('.').and_then(|(name, digits)| {
        let number = digits
            .parse()
            .ok()
            .filter(|&number: &usize| number > 1 && number.to_string() == digits)?;
        Some((name, number))
    });
    numbered.unwrap_or((name, 1))
}

/// The number behind the name of a run's folder.
pub fn run_number(name: &str) -> usize {
    split_number(name).1
}

/// Columns as wide as their widest cell, two spaces between them, no spaces at the ends of lines.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Metrics, RunFolder, RunStart, StageRecord};
    use std::collections::BTreeMap;

    fn start<'a>(results: &'a Path, run: &'a str, spec: &'a str, stages: &[&str]) -> RunStart<'a> {
        RunStart {
            results,
            name: "exp",
            run,
            spec,
            settings: BTreeMap::new(),
            device: "cpu".to_owned(),
            command: Vec::new(),
            inputs: Vec::new(),
            stages: stages
                .iter()
                .map(|id| StageRecord {
                    id: (*id).to_owned(),
                    task: "train".to_owned(),
                    seed: None,
                    key: "k".to_owned(),
                    folder: ".".to_owned(),
                    state: RunState::Pending,
                    metrics: Metrics::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_table_tells_state_progress_and_metrics() {
        let results = tempfile::tempdir().unwrap();
        let metrics = |value| Metrics::from([("test_accuracy".to_owned(), value)]);

        let spec = "[train]\nepochs = 5\n";
        let run = RunFolder::open(start(results.path(), "a", spec, &["main"])).unwrap();
        let mut with_loss = metrics(0.25);
        with_loss.insert("test_loss".to_owned(), 2.0);
        run.set_stage("main", RunState::Running, Some(with_loss))
            .unwrap();
        let row = MetricsRow {
            epoch: 3,
            ..MetricsRow::default()
        };
        table::write(&run.path().join(files::METRICS), &[row]).unwrap();
        drop(run);

        let run = RunFolder::open(start(results.path(), "b", "", &["one", "two"])).unwrap();
        run.set_stage("one", RunState::Finished, Some(metrics(0.5)))
            .unwrap();
        run.end::<()>(&Err(Error::failed("no paper\nleft")), None)
            .unwrap();
        drop(run);

        let spec = "[simulate]\nrepeats = 9\n";
        let running = RunFolder::open(start(results.path(), "c", spec, &["main"])).unwrap();
        let lines = "repeat,step,method,l1_distance,loss\n0,1,bp,1.0,\n4,1,bp,1.0,\n4,1,li";
        fs::write(running.path().join(files::SIMULATION), lines).unwrap();
        fs::create_dir_all(results.path().join("exp/stages/x-1")).unwrap();
        fs::create_dir_all(results.path().join("exp/d")).unwrap();
        fs::write(results.path().join("exp/d/run.json"), "{").unwrap();

        let text = list(results.path(), Some("exp")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "NAME  RUN  STATE        PROGRESS     LAST METRICS",
                "exp   a    interrupted  3/5 epochs   test_accuracy 0.2500",
                "exp   b    failed       1/2 stages   no paper",
                "exp   c    running      4/9 repeats",
            ]
        );
        assert!(lines[4].starts_with("exp   d    unreadable"), "{text}");
        assert!(lines[4].contains("run.json: damaged"), "{text}");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn numbers_stand_behind_the_hash() {
        assert_eq!(split_number("1f3a9c20"), ("1f3a9c20", 1));
        assert_eq!(
            split_number("attack.k=5-1f3a9c20.12"),
            ("attack.k=5-1f3a9c20", 12)
        );
        for name in ["a=0.5-12345678", "ab.1", "ab.02", "ab.x"] {
            assert_eq!(split_number(name), (name, 1));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_names_the_known_ones() {
        let results = tempfile::tempdir().unwrap();
        let missing = results.path().join("missing");
        assert!(list(&missing, None).unwrap().starts_with("no runs under"));
        fs::create_dir(results.path().join("exp")).unwrap();
        let message = list(results.path(), Some("ex")).unwrap_err().to_string();
        assert!(
            message.contains("no runs of \"ex\"; there are runs of exp"),
            "{message}"
        );
    }
}
