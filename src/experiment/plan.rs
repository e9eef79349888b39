//! The plan of a command: every run of a spec, composed and checked before the first one starts.

use std::collections::BTreeMap;

use super::compose::compose;
use super::experiment::ExperimentSpec;
use super::launcher::{self, LauncherSpec};
use super::smoke;
use crate::spec::document::Document;
use crate::spec::layers::{Layers, Request, SWEEP};
use crate::spec::location::{Locate, Location};
use crate::spec::outcome::Outcome;
use crate::spec::sweep::{Combination, Sweep};
use crate::{Error, Result};

/// The longest folder name; file systems end at 255 bytes, and temporary names add to it.
const MAX_FOLDER: usize = 150;

/// Every run that a command asks for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder under `results/`.
    pub name: String,
    /// The swept keys; empty where the spec is a single run.
    pub swept: Vec<String>,
    pub runs: Vec<PlannedRun>,
    /// What a cluster is told of them.
    pub launcher: LauncherSpec,
    /// What every run of the plan remarks, one line each.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Has every run remark these lines too.
    pub fn warn(&mut self, remarks: Vec<String>) {
        for run in &mut self.runs {
            run.spec.warnings.extend(remarks.iter().cloned());
        }
        self.warnings.extend(remarks);
    }
}

/// One run: a spec in which nothing is open.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The swept values, `linbp.train=true,attack.k=5`; empty where nothing is swept.
    pub label: String,
    /// The swept values by key, as the label shows them.
    pub values: Vec<(String, String)>,
    pub spec: ExperimentSpec,
    /// The resolved spec as TOML.
    pub text: String,
    /// Eight hexadecimal digits that name the resolved spec.
    pub hash: String,
}

impl PlannedRun {
    /// The name of the run's folder: the label, made safe for every file system and cut where it is long, and the hash.
    pub fn folder(&self) -> String {
        if self.label.is_empty() {
            return self.hash.clone();
        }
        let safe = |letter: char| letter.is_ascii_alphanumeric() || "-_.,=+".contains(letter);
        let label: String = self
            .label
            .chars()
            .map(|letter| if safe(letter) { letter } else { '_' })
            .collect();
        let label: String = label
            .chars()
            .take(MAX_FOLDER - self.hash.len() - 1)
            .collect();
        format!("{label}-{}", self.hash)
    }
}

/// Reads a spec with all its layers and expands its sweep.
///
/// # Errors
/// Every fault of every point, one line each.
pub fn plan(request: &Request) -> Result<Plan> {
    let mut outcome = Outcome::default();
    let layers = Layers::read(request, &mut outcome);
    expand(layers, request, outcome)
}

/// The same of a spec that was read before, which takes the place of the request's file.
///
/// # Errors
/// As [`plan`].
pub(crate) fn plan_document(spec: Document, request: &Request) -> Result<Plan> {
    let mut outcome = Outcome::default();
    let layers = Layers::over(spec, request, &mut outcome);
    expand(layers, request, outcome)
}

/// Every run of what the layers ask for.
fn expand(layers: Option<Layers>, request: &Request, mut outcome: Outcome) -> Result<Plan> {
    let Some(layers) = layers else {
        return Err(Error::spec(outcome.faults().join("\n")));
    };
    let plain = layers.at_point(Vec::new());
    let merged = plain.merged();
    let launcher = LauncherSpec::read(&merged).unwrap_or_else(|message| {
        let location = plain.locate("launcher", launcher::tag(&merged));
        outcome.fault(&location, "launcher", &message);
        LauncherSpec::default()
    });
    let sweep = Sweep::read(&layers, &plain, &mut outcome);
    let mut points = sweep.points(&mut outcome);
    if !outcome.is_sound() {
        // The sweep or a file is faulty: the rest of the spec is still checked, at one point.
        points.truncate(1);
    }
    if points.is_empty() {
        points.push(Combination::default());
    }

    let mut faults = Faults::new(&outcome, points.len());
    let mut warnings: Option<Vec<String>> = None;
    let mut runs = Vec::with_capacity(points.len());
    let mut idle = IdleKeys::new(sweep.keys());
    let mut misfits: Option<BTreeMap<String, (Location, String)>> = None;
    for point in points {
        let label = point.label();
        let values = point.labels();
        let mut here = Outcome::default();
        let composed = compose(&layers.at_point(point.0), &mut here);
        faults.add(&here, &label);
        // A setting of something that is chosen at other points of the sweep.
        let found = here.misfits();
        match &mut misfits {
            None => misfits = Some(found),
            Some(common) => common.retain(|path, _| found.contains_key(path)),
        }
        let Some(mut spec) = composed else {
            continue;
        };
        idle.add(&here);
        // A setting that is idle at some points of a sweep only is no cause for a warning.
        match &mut warnings {
            None => warnings = Some(spec.warnings.clone()),
            Some(common) => common.retain(|line| spec.warnings.contains(line)),
        }
        if request.smoke {
            for remark in smoke::shrink(&mut spec) {
                if !outcome.remarks.contains(&remark) {
                    outcome.remarks.push(remark);
                }
            }
        }
        let text = spec.to_toml()?;
        let hash = spec.hash()?;
        if request.smoke
            && runs
                .iter()
                .any(|run: &PlannedRun| run.hash == hash && run.text == text)
        {
            // Shrinking may well make points alike: one of them is enough.
            continue;
        }
        runs.push(PlannedRun {
            label,
            values,
            spec,
            text,
            hash,
        });
    }
    if !faults.refuse_misfits(misfits.unwrap_or_default()) && !faults.refuse_idle(&idle, &sweep) {
        faults.refuse_twins(&runs, &idle);
    }
    faults.end()?;
    let name = runs
        .first()
        .map(|run| run.spec.name.clone())
        .unwrap_or_default();
    let mut common = outcome.remarks;
    common.extend(warnings.unwrap_or_default());
    Ok(Plan {
        name,
        swept: sweep.keys(),
        runs,
        launcher,
        warnings: common,
    })
}

/// The swept keys, and why each has no effect at the points where it has none.
struct IdleKeys {
    keys: Vec<String>,
    /// One entry a sound point, in which each key has one.
    whys: Vec<Vec<Option<String>>>,
}

impl IdleKeys {
    fn new(keys: Vec<String>) -> Self {
        Self {
            keys,
            whys: Vec::new(),
        }
    }

    fn add(&mut self, outcome: &Outcome) {
        let whys = self.keys.iter().map(|key| outcome.without_effect(key));
        self.whys
            .push(whys.map(|why| why.map(str::to_owned)).collect());
    }

    /// The keys that have no effect at any point, each with the reason at the first.
    fn everywhere(&self) -> Vec<(&str, &str)> {
        let keys = self.keys.iter().enumerate();
        let idle =
            keys.filter(|(location, _)| self.whys.iter().all(|whys| whys[*location].is_some()));
        idle.filter_map(|(location, key)| {
            Some((key.as_str(), self.whys.first()?[location].as_deref()?))
        })
        .collect()
    }

    /// Why two runs are the same: a key in which they differ, and why it has no effect.
    fn difference(&self, runs: &[PlannedRun], one: usize, other: usize) -> String {
        let value = |run: usize, key: &str| {
            let mut values = runs[run].values.iter();
            values.find(|(swept, _)| swept == key)
        };
        let mut keys = self.keys.iter().enumerate();
        keys.find_map(|(position, key)| {
            (value(one, key) != value(other, key)).then_some(())?;
            let why = self.whys.get(other)?[position].as_deref()?;
            Some(format!(": {key} has no effect in the second: {why}"))
        })
        .unwrap_or_default()
    }
}

/// The faults of all points, each noted once.
struct Faults {
    points: usize,
    /// Line -> location, number of points that have it, label of the first.
    lines: BTreeMap<String, (Location, usize, String)>,
}

impl Faults {
    fn new(outcome: &Outcome, points: usize) -> Self {
        let lines = outcome.located_faults().into_iter();
        Self {
            points,
            lines: lines
                .map(|(location, line)| (line, (location, points, String::new())))
                .collect(),
        }
    }

    fn add(&mut self, outcome: &Outcome, label: &str) {
        for (location, line) in outcome.located_faults() {
            let entry = self
                .lines
                .entry(line)
                .or_insert_with(|| (location, 0, label.to_owned()));
            entry.1 += 1;
        }
    }

    /// Notes settings that must not stand there; whether there is one.
    fn refuse_misfits(&mut self, misfits: BTreeMap<String, (Location, String)>) -> bool {
        let any = !misfits.is_empty();
        for (location, line) in misfits.into_values() {
            self.lines
                .insert(line, (location, self.points, String::new()));
        }
        any
    }

    /// A sweep over a key without effect would run the same again and again; whether there is such a key.
    fn refuse_idle(&mut self, idle: &IdleKeys, sweep: &Sweep) -> bool {
        let keys = idle.everywhere();
        for (key, why) in &keys {
            let location = sweep.location(key);
            let line = format!("{location}: {key}: cannot be swept, it has no effect: {why}");
            self.lines
                .insert(line, (location, self.points, String::new()));
        }
        !keys.is_empty()
    }

    /// Two points that come to the same settings would share a folder.
    fn refuse_twins(&mut self, runs: &[PlannedRun], idle: &IdleKeys) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (number, run) in runs.iter().enumerate() {
            if let Some(first) = seen.insert(&run.text, number) {
                let location = Location {
                    layer: SWEEP.into(),
                    file: None,
                };
                let line = format!(
                    "sweep: {} and {} are the same run{}",
                    runs[first].label,
                    run.label,
                    idle.difference(runs, first, number)
                );
                self.lines
                    .insert(line, (location, self.points, String::new()));
            }
        }
    }

    fn end(self) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<_> = self.lines.into_iter().collect();
        lines.sort_by_key(|(_, (location, ..))| (location.file.is_none(), location.file.clone()));
        let lines = lines.into_iter().map(|(line, (location, count, label))| {
            if count >= self.points || location.layer == SWEEP {
                line
            } else if count == 1 {
                format!("{line} (in the run {label})")
            } else {
                format!("{line} (in {count} of {} runs, first {label})", self.points)
            }
        });
        Err(Error::spec(lines.collect::<Vec<_>>().join("\n")))
    }
}
