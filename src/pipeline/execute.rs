//! Executes one run: opens its folder, runs its stages, records how each ended.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Device;
use tracing::Level;

use super::contents::Contents;
use super::device::{DeviceChoice, described, precision};
use super::extend::extend;
use super::graph::Graph;
use super::inputs;
use super::keys::stage_keys;
use super::run_path::run_folder;
use super::schedule;
use crate::experiment::PlannedRun;
use crate::ops::precision::with as with_precision;
use crate::run::log::shown;
use crate::run::{
    Code, FinishedStage, Input, Metrics, OWN_FOLDER, Progress, RunFolder, RunStart, RunState,
    StageFolder, StageRecord, interrupt, of_stages,
};
use crate::stage::{self, StageContext};
use crate::{Error, Result, report};

/// How runs are executed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of all results.
    pub results: PathBuf,
    pub device: Device,
    /// The device's name in `run.json`.
    pub device_name: String,
    /// What the user asked for, which the processes of `jobs` are told too.
    pub choice: DeviceChoice,
    /// Runs of a sweep, or stages of a single run, that go on at the same time.
    pub jobs: usize,
    /// Start no further runs after one has failed.
    pub fail_fast: bool,
    /// How often a run that failed is started again.
    pub retries: u32,
    /// Begin again: earlier results step aside.
    pub fresh: bool,
    /// Have a training go on from a finished one of fewer epochs.
    pub extend: bool,
    /// The stages to carry out, by id; none: all. A run is interrupted where it comes to another one.
    pub stages: Vec<String>,
    /// The command line, for `run.json`.
    pub command: Vec<String>,
}

/// How a run ended well.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub folder: PathBuf,
    /// Whether it had finished before.
    pub was_finished: bool,
    /// In words, the program that had finished it, where it was another than this one.
    pub made_by: Option<String>,
    /// Last metrics of each stage, by id, in the order of the spec.
    pub metrics: Vec<(String, Metrics)>,
}

impl Outcome {
    /// The last metrics by name, as [`RunRecord::last_metrics`] has them.
    ///
    /// [`RunRecord::last_metrics`]: crate::run::RunRecord::last_metrics
    pub fn last_metrics(&self) -> Metrics {
        let stages = self.metrics.iter();
        of_stages(stages.map(|(id, metrics)| (id.as_str(), metrics)))
    }
}

/// A run in progress: what its stages share.
struct Execution<'a> {
    run: &'a PlannedRun,
    options: &'a Options,
    progress: &'a Progress,
    folder: &'a RunFolder,
    contents: &'a Contents,
    /// `results/<name>`.
    named: PathBuf,
    /// What each stage reads from outside.
    inputs: Vec<Vec<Input>>,
    /// When that was looked at.
    read: Instant,
    keys: Vec<String>,
}

/// How long what was read from outside counts as unchanged: tens of thousands of files take a while to look at.
const RECENT: Duration = Duration::from_secs(1);

/// Executes a run, or what is left of it. `jobs`: stages at the same time.
///
/// # Errors
/// The first failure of a stage; independent stages still go on to their end. [`Error::Interrupted`] after Ctrl-C.
pub(super) fn execute(
    run: &PlannedRun,
    options: &Options,
    contents: &Contents,
    jobs: usize,
    progress: &Progress,
) -> Result<Outcome> {
    let named = options.results.join(&run.spec.name);
    let graph = Graph::new(&run.spec);
    let began = Instant::now();
    let read = inputs::of_stages(&run.spec, contents)?;
    let keys = stage_keys(&run.spec, &graph, &read)?;
    let inputs = inputs::of_run(&read);
    let position = run_folder(&named, run, &inputs);
    let name = &position.folder;
    let folder = RunFolder::open(RunStart {
        results: &options.results,
        name: &run.spec.name,
        run: name,
        spec: &run.text,
        settings: run.spec.provenance.clone(),
        device: described(&options.device_name, &run.spec.stages, &options.device)?,
        command: options.command.clone(),
        inputs,
        stages: records(run, &named, &keys, &named.join(name)),
    })?;
    if folder.is_finished() {
        folder.check_tables()?;
        if folder.record().figures_missing.is_some() && draw(&folder).is_none() {
            folder.figures_drawn()?;
        }
        return Ok(outcome(&folder, true));
    }
    let _log = folder.log()?;
    let begins = |why: String| progress.line(&format!("{}: {why}", folder.path().display()));
    tracing::info!(run = name, "begins");
    for warning in &run.spec.warnings {
        // Standard error has them once for all runs.
        shown(Level::WARN, warning);
    }
    if let Some(because) = position.because {
        begins(format!("run anew: {because}"));
    }
    if let Some(other) = folder.other_program() {
        let (other, this) = (other.words(), Code::current().words());
        begins(format!("begun by {other}, goes on with {this}"));
    }
    let execution = Execution {
        run,
        options,
        progress,
        folder: &folder,
        contents,
        named,
        inputs: read,
        read: began,
        keys,
    };
    let result = schedule::run(&graph, jobs, |stage| {
        execution.stage(stage, &graph, jobs > 1)
    });
    let figures_missing = draw(&folder);
    match &result {
        Ok(()) => {}
        // As standard error will have it once all runs have ended.
        Err(error @ Error::Interrupted) => shown(Level::WARN, &error.to_string()),
        Err(error) => shown(Level::ERROR, &error.to_string()),
    }
    // Where both fail, the first failure is the cause.
    let recorded = folder.end(&result, figures_missing);
    result.and(recorded).map(|()| outcome(&folder, false))
}

/// Draws the figures of a run. Why they are missing, if they are: then the next start draws them.
fn draw(folder: &RunFolder) -> Option<String> {
    let error = report::figures(folder.path()).err()?;
    tracing::warn!("{}: no figures: {error}", folder.path().display());
    Some(error.to_string())
}

fn outcome(folder: &RunFolder, was_finished: bool) -> Outcome {
    let stages = folder.record().stages;
    Outcome {
        folder: folder.path().to_path_buf(),
        was_finished,
        made_by: folder.other_program().map(Code::words),
        metrics: stages
            .into_iter()
            .map(|stage| (stage.id, stage.metrics))
            .collect(),
    }
}

/// The records of stages that have not begun.
fn records(run: &PlannedRun, named: &Path, keys: &[String], folder: &Path) -> Vec<StageRecord> {
    let stages = run.spec.stages.iter().zip(keys);
    let records = stages.map(|(stage, key)| StageRecord {
        id: stage.id.clone(),
        task: stage.task.kind().name().to_owned(),
        seed: Some(stage.seed),
        key: key.clone(),
        folder: match run.spec.staged {
            true => relative(&StageFolder::shared_path(named, &stage.id, key), folder),
            false => OWN_FOLDER.to_owned(),
        },
        state: RunState::Pending,
        metrics: Metrics::new(),
    });
    records.collect()
}

/// The path of a shared stage as seen from a run's folder, both under the folder of the name.
fn relative(stage: &Path, run: &Path) -> String {
    let named = run.parent().unwrap_or(Path::new(""));
    let below = stage.strip_prefix(named).unwrap_or(stage);
    Path::new("..").join(below).to_string_lossy().into_owned()
}

impl Execution<'_> {
    /// Runs a stage unless it is finished, and records its state. `threaded`: on a thread of its own.
    fn stage(&self, position: usize, graph: &Graph, threaded: bool) -> Result<()> {
        interrupt::check()?;
        let wanted = &self.options.stages;
        if !wanted.is_empty() && !wanted.contains(&self.run.spec.stages[position].id) {
            return Err(Error::Interrupted);
        }
        // A thread's events go to the run's log only if it says so.
        let _log = if threaded {
            Some(self.folder.log()?)
        } else {
            None
        };
        let spec = &self.run.spec.stages[position];
        let key = &self.keys[position];
        let progress = self.progress.labelled(&self.run.label);
        let folder = if self.run.spec.staged {
            StageFolder::shared(&self.named, &spec.id, key, |owner| {
                progress.line(&format!("{}: waits for {owner}", spec.id));
            })?
        } else {
            StageFolder::of_run(self.folder)?
        };
        let result = match folder.finished(key)? {
            Some(finished) => {
                progress.line(&reused(&spec.id, &finished, folder.path()));
                Ok(finished.metrics)
            }
            None => {
                if self.read.elapsed() > RECENT {
                    inputs::unchanged(spec, &self.inputs[position], self.contents)?;
                }
                if let Some(words) = extend(
                    self.options.extend,
                    &self.run.spec,
                    graph,
                    &self.inputs,
                    position,
                    &self.named,
                    &folder,
                )? {
                    tracing::info!(stage = spec.id, "{words}");
                    progress.line(&format!("{}: {words}", spec.id));
                }
                self.folder.set_stage(&spec.id, RunState::Running, None)?;
                tracing::info!(stage = spec.id, task = %spec.task.kind(), "begins");
                let inputs: BTreeMap<String, PathBuf> = graph
                    .inputs(position)
                    .into_iter()
                    .map(|input| {
                        let id = &self.run.spec.stages[input].id;
                        let path = StageFolder::shared_path(&self.named, id, &self.keys[input]);
                        (id.clone(), path)
                    })
                    .collect();
                let context = StageContext {
                    id: &spec.id,
                    seed: spec.seed,
                    folder: &folder,
                    inputs: &inputs,
                    read: &self.inputs[position],
                    results: &self.options.results,
                    device: &self.options.device,
                    progress: &progress,
                };
                let precision = precision(spec, &self.options.device)?;
                let summary =
                    guarded(|| with_precision(precision, || stage::run(&context, &spec.task)));
                progress.finish();
                summary
                    .and_then(|summary| {
                        folder.finish(key, summary.metrics.clone())?;
                        Ok(summary.metrics)
                    })
                    // Whatever failed first where the folder is gone, that it is gone is the cause.
                    .map_err(|error| folder.check().err().unwrap_or(error))
            }
        };
        let state = RunState::after(&result);
        match &result {
            Ok(_) => tracing::info!(stage = spec.id, "finished"),
            Err(error) => tracing::info!(stage = spec.id, %error, "ended"),
        }
        let metrics = result.as_ref().ok().cloned();
        let recorded = self
            .folder
            .set_stage(&spec.id, state, metrics)
            .and_then(|()| self.folder.collect_metrics());
        // Where both fail, the first failure is the cause.
        result
            .and(recorded)
            .map_err(|error| match (error, self.run.spec.staged) {
                (Error::Failed(message), true) => {
                    Error::Failed(format!("stage {}: {message}", spec.id))
                }
                (error, _) => error,
            })
    }
}

/// That a stage is not run again, in one line.
fn reused(id: &str, finished: &FinishedStage, folder: &Path) -> String {
    let other = finished
        .code
        .as_ref()
        .filter(|code| !code.same_source(&Code::current()));
    let by = other
        .map(|code| format!(" by {}", code.words()))
        .unwrap_or_default();
    format!(
        "{id}: finished before{by}, {}; taken from {}",
        finished.ended,
        folder.display()
    )
}

/// Turns a panic, a defect of this program, into an error: the other runs and stages go on.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Error::failed(format!("a defect of this program: {text}")))
    })
}
