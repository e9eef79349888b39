//! The runs of a name as a table of one line each.

use std::path::Path;

use rayon::prelude::*;
use toml::Value;

use super::clock;
use super::condition::{Condition, compare};
use super::list::{ListedRun, runs};
use super::metric_rank::metric_rank;
use super::record::{Metrics, RunState};
use crate::choice::did_you_mean;
use crate::{Error, Result};

/// Characters of a line, where it is not asked for whole.
const WIDTH: usize = 100;
/// Those of the name of a run's folder.
const RUN_WIDTH: usize = 40;
/// Metrics of a line.
const METRICS: usize = 3;

/// Which runs are listed, and how.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The experiment's name; all where there is none.
    pub name: Option<String>,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// A metric or a setting to order by.
    pub order: Option<Order>,
    /// Whole names, all metrics, however long the lines become.
    pub wide: bool,
}

/// What a list is ordered by.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// The smallest value first.
    Rising(String),
    /// The best value first: of a loss the smallest, of anything else the largest.
    Best(String),
}

impl Order {
    fn key(&self) -> &str {
        match self {
            Self::Rising(key) | Self::Best(key) => key,
        }
    }

    fn largest_first(&self) -> bool {
        matches!(self, Self::Best(key) if !key.ends_with("loss"))
    }
}

/// The runs under `results` as an aligned table: state, age, progress, time left, the metrics that matter or the error.
///
/// # Errors
/// A name without runs; a key that no run has.
pub fn list(results: &Path, listing: &Listing) -> Result<String> {
    let name = listing.name.as_deref();
    let all = runs(results, name)?;
    if all.is_empty() {
        return Ok(format!("no runs under {}\n", results.display()));
    }
    if let Some(order) = &listing.order {
        known(order.key(), &all)?;
    }
    let count = all.len();
    let all = fulfilling(all, &listing.conditions)?;
    if all.is_empty() {
        return Ok(format!("none of {count} runs is like that\n"));
    }
    let mut kept: Vec<&ListedRun> = all.iter().collect();
    if let Some(order) = &listing.order {
        let mut valued: Vec<(Option<Value>, &ListedRun)> = kept
            .par_iter()
            .map(|run| (run.value(order.key()), *run))
            .collect();
        valued.sort_by(|(one, _), (other, _)| match (one, other) {
            (Some(one), Some(other)) if order.largest_first() => compare(other, one),
            (Some(one), Some(other)) => compare(one, other),
            // Runs that do not have it come last.
            _ => one.is_none().cmp(&other.is_none()),
        });
        kept = valued.into_iter().map(|(_, run)| run).collect();
    }
    let first = [
        "NAME",
        "RUN",
        "STATE",
        "AGE",
        "PROGRESS",
        "LEFT",
        "LAST METRICS",
    ];
    let mut rows = vec![first.map(str::to_owned)];
    rows.extend(
        kept.par_iter()
            .map(|run| row(run, listing))
            .collect::<Vec<_>>(),
    );
    let named = listing.name.is_some();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.into_iter().skip(usize::from(named)).collect())
        .collect();
    Ok(aligned(
        &rows,
        if listing.wide { usize::MAX } else { WIDTH },
    ))
}

/// The runs under `results`, or those of `name` alone, that fulfil all conditions.
///
/// # Errors
/// As [`list`].
pub fn conditioned(
    results: &Path,
    name: Option<&str>,
    conditions: &[Condition],
) -> Result<Vec<ListedRun>> {
    fulfilling(runs(results, name)?, conditions)
}

fn fulfilling(mut runs: Vec<ListedRun>, conditions: &[Condition]) -> Result<Vec<ListedRun>> {
    for condition in conditions {
        known(&condition.key, &runs)?;
    }
    let holds = |run: &ListedRun| conditions.iter().all(|condition| condition.holds(run));
    let kept: Vec<bool> = runs.par_iter().map(holds).collect();
    let mut kept = kept.into_iter();
    runs.retain(|_| kept.next() == Some(true));
    Ok(runs)
}

/// Refuses a key that no run has.
fn known(key: &str, runs: &[ListedRun]) -> Result<()> {
    match runs.iter().any(|run| run.value(key).is_some()) {
        true => Ok(()),
        false => Err(unknown(key, runs)),
    }
}

fn row(run: &ListedRun, listing: &Listing) -> [String; 7] {
    let state = run.state();
    let [progress, left] = run.way(state);
    let width = if listing.wide { usize::MAX } else { RUN_WIDTH };
    [
        run.name.clone(),
        shortened(&run.run, width),
        state.map_or("unreadable", RunState::name).to_owned(),
        run.age().map(clock::in_words).unwrap_or_default(),
        progress,
        left,
        run.error().unwrap_or_else(|| metrics(run, listing)),
    ]
}

/// The metrics that tell runs apart: what a list is ordered by, then those that matter most.
fn metrics(run: &ListedRun, listing: &Listing) -> String {
    let all = run.metrics();
    let order = listing.order.as_ref().map(Order::key);
    let mut words: Vec<String> = telling(&all, order, listing.wide)
        .iter()
        .map(|name| format!("{name} {:.4}", all[*name]))
        .collect();
    if let Some(key) = order.filter(|key| !all.contains_key(*key))
        && let Some(value) = run.value(key)
    {
        words.insert(0, format!("{key} {value}"));
    }
    words.join(", ")
}

/// The names of the metrics that tell runs apart, what a list is ordered by first; of `all` of them, if so wanted.
pub(super) fn telling<'a>(metrics: &'a Metrics, order: Option<&str>, all: bool) -> Vec<&'a String> {
    let mut names: Vec<&String> = metrics.keys().collect();
    names.sort_by_cached_key(|name| (order != Some(name.as_str()), metric_rank(name)));
    if !all {
        names.truncate(METRICS);
        let any = names.first().is_some_and(|name| !name.ends_with("loss"));
        names.retain(|name| !any || !name.ends_with("loss") || order == Some(name.as_str()));
    }
    names
}

/// The words for a key that no run has.
fn unknown(key: &str, runs: &[ListedRun]) -> Error {
    let mut known: Vec<String> = runs
        .iter()
        .flat_map(|run| run.metrics().into_keys())
        .collect();
    let records = runs.iter().filter_map(|run| run.record.as_ref().ok());
    known.extend(records.flat_map(|record| record.settings.keys().cloned()));
    let near = did_you_mean(key, known.iter().map(String::as_str));
    Error::spec(format!("{key}: no run has such a metric or setting{near}"))
}

/// A name cut in its middle: its end has the hash.
pub fn shortened(name: &str, width: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= width {
        return name.to_owned();
    }
    let end = width / 3;
    let begin: String = letters[..(width - end).saturating_sub(1)].iter().collect();
    let end: String = letters[letters.len() - end..].iter().collect();
    format!("{begin}…{end}")
}

/// Columns as wide as their widest cell and left out where all are empty, two spaces between them, lines of `width` characters
/// at most, no spaces at the ends of lines.
pub(super) fn aligned(rows: &[Vec<String>], width: usize) -> String {
    let columns = 0..rows[0].len();
    let widths: Vec<usize> = columns
        .map(|column| {
            let cells = rows[1..].iter().map(|row| row[column].chars().count());
            match cells.max().unwrap_or(0) {
                0 => 0,
                widest => widest.max(rows[0][column].chars().count()),
            }
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let line: String = cells
            .map(|(cell, &width)| format!("{cell:width$}  "))
            .collect();
        let line = line.trim_end();
        match line.char_indices().nth(width) {
            None => text.push_str(line),
            Some(_) => {
                text.extend(line.chars().take(width - 1));
                text.push('…');
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::run::{MetricsRow, RunFolder, RunStart, StageRecord, files, table};

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

        let listed = |conditions: &str, order: Option<Order>| {
            let listing = Listing {
                name: Some("exp".to_owned()),
                conditions: match conditions {
                    "" => Vec::new(),
                    text => Condition::read(text).unwrap(),
                },
                order,
                wide: false,
            };
            list(results.path(), &listing)
        };
        // However slow the machine is.
        let text = listed("", None).unwrap();
        let text = (1..9).fold(text, |text, age| {
            text.replace(&format!("  {age} s  "), "  0 s  ")
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "RUN  STATE        AGE  PROGRESS     LAST METRICS",
                "a    interrupted  0 s  3/5 epochs   test_accuracy 0.2500",
                "b    failed       0 s  1/2 stages   no paper",
                "c    running      0 s  4/9 repeats",
            ]
        );
        assert!(lines[4].starts_with("d    unreadable"), "{text}");
        assert!(lines[4].contains("run.json: damaged"), "{text}");
        assert_eq!(lines.len(), 5);

        let text = listed("test_accuracy<0.5 and state=interrupted", None).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("a    interrupted"), "{text}");
        let text = listed("", Some(Order::Best("test_loss".into()))).unwrap();
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .ends_with("test_loss 2.0000, test_accuracy 0.2500"),
            "{text}"
        );
        assert_eq!(
            listed("train.epochs>5", None).unwrap(),
            "none of 4 runs is like that\n"
        );
        let error = listed("test_acuracy>0", None).unwrap_err().to_string();
        assert!(
            error.ends_with("no run has such a metric or setting; did you mean \"test_accuracy\"?"),
            "{error}"
        );
    }

    #[test]
    fn long_lines_are_cut_and_names_keep_their_hash() {
        let name = "attack.epsilon=4/255,attack.step_size=1/255,attack.k=20-1f3a9c20";
        assert_eq!(
            shortened(name, 40),
            "attack.epsilon=4/255,attac…k=20-1f3a9c20"
        );
        let row = |cell: String| vec![cell, String::new()];
        let text = aligned(&[row("RUN".into()), row("x".repeat(150))], 100);
        let lengths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(lengths, [3, 100]);
    }
}
