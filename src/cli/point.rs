//! `runner point`: carries out one run that another process planned, for `--jobs`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::experiment::FrozenRun;
use crate::pipeline::{DeviceChoice, Options, Outcome, described, execute_all};
use crate::run::log::{self, Verbosity};
use crate::run::{Progress, file_size, interrupt};
use crate::{Error, Result};

pub const HELP: &str = "\
Example:
  runner point --results results < run.json      what runner SPEC --jobs N starts, once for each run";

#[derive(Debug, Args)]
pub struct PointArgs {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Stages at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Go on from a finished training of fewer epochs
    #[arg(long)]
    extend: bool,
    /// These stages of the run alone, and not those that use them
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    stages: Vec<String>,
    /// The run, a file; standard input where there is none
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The command line that asked for the run, for its record
    #[arg(last = true)]
    command: Vec<String>,
}

/// Carries out the run that the file or standard input describes.
///
/// # Errors
/// The failure of the run.
pub fn point(args: PointArgs) -> Result<()> {
    let progress = Progress::new(false);
    log::install(Verbosity::Normal, &progress);
    interrupt::install(&progress)?;
    file_size::report_limit();
    let mut text = Vec::new();
    let (name, read) = match &args.file {
        Some(path) => (
            path.display().to_string(),
            std::fs::read(path).map(|read| text = read),
        ),
        None => (
            "standard input".to_owned(),
            std::io::stdin().read_to_end(&mut text).map(drop),
        ),
    };
    read.map_err(|error| Error::failed(format!("{name}: {error}")))?;
    let frozen: FrozenRun = serde_json::from_slice(&text).map_err(|error| {
        Error::spec(format!(
            "{name}: expected a run as another process of this program writes it: {error}"
        ))
    })?;
    let plan = frozen.plan()?;
    let (device, device_name) = args.device.open()?;
    for run in &plan.runs {
        described(&device_name, &run.spec.stages, &device)?;
    }
    let options = Options {
        results: args.results,
        device,
        device_name,
        choice: args.device,
        jobs: args.jobs,
        retries: 0,
        fail_fast: false,
        fresh: false,
        extend: args.extend,
        stages: args.stages,
        command: args.command,
    };
    let results = execute_all(&plan, &options, &progress, |_, _| {})?;
    // A run of which some stages were asked for stops there.
    let stops = |result: &Result<Outcome>| {
        let asked = !options.stages.is_empty() && !interrupt::requested();
        asked && matches!(result, Err(Error::Interrupted))
    };
    let results = results.into_iter().map(|(_, result)| result);
    let mut results = results.filter(|result| !stops(result));
    results.try_for_each(|result| result.map(drop))
}
