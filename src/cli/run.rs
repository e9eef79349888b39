//! `runner SPEC [KEY=VALUE]...`

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Device;
use clap::{ArgAction, Args};
use serde_json::json;

use super::Overrides;
use super::output::{out, remark};
use super::request::request;
use crate::experiment::{Plan, plan};
use crate::pipeline::{
    Contents, DeviceChoice, Graph, Only, Options, Outcome, RunPath, RunResult, Submission,
    Submitted, check_data, check_memory, check_models, described, execute_all, expected_time,
    keep_only, of_run, of_stages, run_folder, submit,
};
use crate::run::log::{self, Verbosity};
use crate::run::{Metrics, Progress, RunRecord, RunState, file_size, interrupt};
use crate::{Error, Result, report};

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The experiment, a TOML file
    #[arg(required = true, value_name = "SPEC")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    /// Runs of a sweep, each in a process of its own, or stages of a single run, at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Submit the runs as jobs of a cluster, as [launcher] says, and end
    #[arg(long, conflicts_with_all = ["jobs", "fresh", "retry", "fail_fast"])]
    launcher: Option<Launcher>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Begin again; earlier results are moved to NAME/earlier
    #[arg(long)]
    fresh: bool,
    /// Have a training go on from a finished one that differs in having fewer epochs
    #[arg(long, conflicts_with_all = ["fresh", "launcher"])]
    extend: bool,
    /// Check everything and show what would run
    #[arg(long)]
    dry_run: bool,
    /// Of a sweep, only the runs that failed, were never begun, or were interrupted
    #[arg(long, conflicts_with = "fresh")]
    only: Option<Only>,
    /// Start a run that fails again, so many times
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry: u32,
    /// Start no further runs of a sweep after one has failed
    #[arg(long)]
    fail_fast: bool,
    /// At the end, say how the runs ended as one line of JSON, and nothing else on standard output
    #[arg(long, conflicts_with_all = ["launcher", "dry_run"])]
    json: bool,
    /// Say more (-vv: everything)
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Say nothing but errors and results
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

/// What runs are submitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Launcher {
    /// The workload manager Slurm
    Slurm,
}

/// Runs a spec, resumes it, or reports it where it is finished.
///
/// # Errors
/// Every fault of the spec before anything runs; after that, the failures of the runs.
pub fn run(args: RunArgs) -> Result<()> {
    let Some(spec) = &args.spec else {
        return Err(Error::spec("no spec given; see runner --help"));
    };
    let progress = Progress::new(args.quiet);
    log::install(verbosity(&args), &progress);
    let mut plan = plan(&request(spec, &args.overrides))?;
    let remarks = check_models(&plan.runs);
    plan.warn(remarks.as_ref().cloned().unwrap_or_default());
    if !args.quiet {
        plan.warnings
            .iter()
            .for_each(|warning| remark("warning", warning));
    }
    remarks?;
    if let Some(only) = args.only {
        keep_only(&mut plan, only, &args.results)?;
        if plan.runs.is_empty() {
            return out(&format!(
                "{}: no run is {}\n",
                plan.name,
                format!("{only:?}").to_lowercase()
            ));
        }
    }
    check_memory(&plan.runs, args.device.is_cpu())?;
    if args.device == DeviceChoice::Cpu {
        check_precision(&plan, &Device::Cpu, "cpu")?;
    }
    if args.dry_run {
        return dry_run(&plan, &args);
    }
    check_data(&plan.runs)?;
    if let Some(Launcher::Slurm) = args.launcher {
        return submitted(&plan, &args);
    }
    let (device, device_name) = args.device.open()?;
    check_precision(&plan, &device, &device_name)?;
    interrupt::install(&progress)?;
    file_size::report_limit();
    if !plan.swept.is_empty() {
        progress.line(&format!(
            "{} over {}",
            count(plan.runs.len()),
            plan.swept.join(", ")
        ));
        if let Some(words) = expected_time(&plan, args.jobs.into(), &args.results) {
            progress.line(&words);
        }
    }
    let options = Options {
        results: args.results.clone(),
        device,
        device_name,
        jobs: args.jobs.into(),
        retries: args.retry,
        choice: args.device,
        fail_fast: args.fail_fast,
        fresh: args.fresh,
        extend: args.extend,
        stages: Vec::new(),
        command: command_line(),
    };
    let results = execute_all(&plan, &options, &progress, |_, result| {
        if let (Ok(outcome), false) = (result, args.json) {
            // The run stands in its folder whether or not its words arrive.
            let _ = progress.apart(|| out(&words(outcome)));
        }
    })?;
    if !plan.swept.is_empty() {
        // A summary that cannot be written leaves the runs as they are.
        match report::summary(&args.results.join(&plan.name), report::Chosen::default()) {
            Ok(_) if args.json => {}
            Ok(paths) => {
                let lines = paths.iter().map(|path| format!("{}\n", path.display()));
                out(&lines.collect::<String>())?;
            }
            Err(error) => remark("warning", &format!("no summary: {error}")),
        }
    }
    if args.json {
        out(&format!("{}\n", in_json(&plan, &results)))?;
    }
    conclude(&plan, results)
}

/// How the runs ended, in the order of the plan: for programs that choose what to run next.
fn in_json(plan: &Plan, results: &[RunResult]) -> serde_json::Value {
    let mut runs = Vec::new();
    for (position, result) in results {
        let run = &plan.runs[*position];
        let settings: BTreeMap<_, _> = run.values.iter().cloned().collect();
        let mut said = json!({ "settings": settings, "state": RunState::after(result) });
        match result {
            Ok(outcome) => {
                said["folder"] = json!(outcome.folder);
                said["metrics"] = json!(outcome.last_metrics());
            }
            Err(error) => said["error"] = json!(error.to_string()),
        }
        runs.push((*position, said));
    }
    runs.sort_by_key(|(position, _)| *position);
    let runs: Vec<_> = runs.into_iter().map(|(_, run)| run).collect();
    json!({ "name": plan.name, "runs": runs })
}

fn command_line() -> Vec<String> {
    let words = std::env::args_os();
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Hands the runs to a cluster.
fn submitted(plan: &Plan, args: &RunArgs) -> Result<()> {
    let submission = Submission {
        results: args.results.clone(),
        device: args.device.to_string(),
        command: command_line(),
    };
    let Submitted {
        jobs,
        runs,
        left_out,
        folder,
    } = submit(plan, &submission)?;
    let mut text = match jobs.as_slice() {
        [] => "nothing is left to submit".to_owned(),
        jobs => format!(
            "{} submitted as job {}; runner list {} shows how far they are, {} has their logs",
            count(runs),
            jobs.join(", "),
            plan.name,
            folder.display()
        ),
    };
    if left_out > 0 {
        text.push_str(&format!("; {} finished or under way", count(left_out)));
    }
    out(&format!("{text}\n"))
}

fn verbosity(args: &RunArgs) -> Verbosity {
    match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, 1) => Verbosity::Verbose,
        (false, _) => Verbosity::Debug,
    }
}

fn count(runs: usize) -> String {
    if runs == 1 {
        "1 run".into()
    } else {
        format!("{runs} runs")
    }
}

/// How a run ended, with its last metrics.
fn words(outcome: &Outcome) -> String {
    let state = match (outcome.was_finished, &outcome.made_by) {
        (true, Some(program)) => {
            format!("finished before by {program} (--fresh runs it again with this one)")
        }
        (true, None) => "finished before (--fresh runs it again)".to_owned(),
        (false, _) => "finished".to_owned(),
    };
    let mut text = format!("{}: {state}\n", outcome.folder.display());
    for (stage, metrics) in &outcome.metrics {
        text.push_str(&format!("  {stage}: {}\n", metric_words(metrics)));
    }
    text
}

fn metric_words(metrics: &Metrics) -> String {
    let words: Vec<String> = metrics
        .iter()
        .map(|(name, value)| format!("{name} {}", short(*value)))
        .collect();
    if words.is_empty() {
        "no metrics".into()
    } else {
        words.join(", ")
    }
}

/// Four digits behind the point for what is not a whole number.
fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value}")
    } else {
        format!("{value:.4}")
    }
}

/// The exit of the command: the failures of its runs, if any.
fn conclude(plan: &Plan, results: Vec<RunResult>) -> Result<()> {
    let total = plan.runs.len();
    let ended = results.len();
    let mut failures: Vec<(usize, Error)> = results
        .into_iter()
        .filter_map(|(position, result)| Some((position, result.err()?)))
        .collect();
    if failures
        .iter()
        .any(|(_, error)| matches!(error, Error::Interrupted))
    {
        return Err(Error::Interrupted);
    }
    if total == 1 {
        return failures.pop().map_or(Ok(()), |(_, error)| Err(error));
    }
    if failures.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} of {} failed", failures.len(), count(total));
    if ended < total {
        text.push_str(&format!(", {} not started", total - ended));
    }
    for (position, error) in failures {
        text.push_str(&format!("\n{}: {error}", plan.runs[position].label));
    }
    Err(Error::Failed(text))
}

/// Refuses a precision that the device does not have, before anything is computed.
fn check_precision(plan: &Plan, device: &Device, name: &str) -> Result<()> {
    for run in &plan.runs {
        described(name, &run.spec.stages, device)?;
    }
    Ok(())
}

/// Shows what would run: every run of a sweep with its state, or the one run's settings.
fn dry_run(plan: &Plan, args: &RunArgs) -> Result<()> {
    if let Err(error) = check_data(&plan.runs) {
        remark("warning", &error.to_string());
    }
    let named = args.results.join(&plan.name);
    let contents = Contents::open(&args.results);
    let mut text = String::new();
    for run in &plan.runs {
        // Of data that is missing nothing can have changed.
        let read = of_stages(&run.spec, &contents).unwrap_or_default();
        let inputs = of_run(&read);
        let RunPath { folder, because } = run_folder(&named, run, &inputs);
        let folder = named.join(folder);
        let state = match RunRecord::read(&folder) {
            Ok(Some(record)) => {
                let state = record.actual_state(&folder).name().to_owned();
                [vec![state], record.changes(&inputs)].concat().join(", ")
            }
            Ok(None) => because.map_or("new".to_owned(), |because| format!("new, {because}")),
            Err(_) => "damaged".to_owned(),
        };
        text.push_str(&format!("{}: {state}\n", folder.display()));
    }
    if plan.runs.len() > 1 {
        text.push_str(&format!("{}\n", count(plan.runs.len())));
    }
    if let Some(words) = expected_time(plan, args.jobs.into(), &args.results) {
        text.push_str(&format!("{words}\n"));
    }
    if let [run] = plan.runs.as_slice() {
        text.push_str(&format!(
            "\n{}\n{}",
            Graph::new(&run.spec).render(crate::pipeline::Format::Text, None),
            run.text
        ));
    }
    out(&text)
}
