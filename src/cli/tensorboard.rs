//! `runner tensorboard [NAME]`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::{out, remark};
use crate::report::Events;
use crate::run::{self, Progress, RunState, interrupt};
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner tensorboard mnist && tensorboard --logdir results/mnist
  runner tensorboard mnist --follow &                  while its runs are under way";

/// How often a run that is under way is looked at.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub struct TensorboardArgs {
    /// Only the runs of this experiment
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Go on until no run is under way
    #[arg(long)]
    follow: bool,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Writes the metrics of runs as event files of TensorBoard, one in each run's folder.
///
/// # Errors
/// A name without runs; the faults of all runs that could not be written.
pub fn tensorboard(args: TensorboardArgs) -> Result<()> {
    if args.follow {
        interrupt::install(&Progress::new(true))?;
    }
    let (mut all, mut faults): (Vec<Events>, Vec<String>) = Default::default();
    let mut known = Vec::new();
    loop {
        let listed = run::runs(&args.results, args.name.as_deref())?;
        let under_way = listed
            .iter()
            .any(|run| run.state() == Some(RunState::Running));
        for run in listed {
            // Runs of a sweep begin one after the other.
            if known.contains(&run.folder) {
                continue;
            }
            known.push(run.folder.clone());
            match Events::new(run) {
                Ok(events) => {
                    out(&format!("{}\n", events.path().display()))?;
                    all.push(events);
                }
                Err(error) => faults.push(error.to_string()),
            }
        }
        for events in &mut all {
            if let Err(error) = events.catch_up() {
                remark("warning", &error.to_string());
            }
        }
        if !args.follow || !under_way || interrupt::requested() {
            break;
        }
        std::thread::sleep(EVERY);
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed(faults.join("\n"))),
    }
}
