//! `runner stop NAME`

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::output::{out, remark};
use crate::Result;
use crate::run::{Owner, RunState, runs};

pub const HELP: &str = "\
Example:
  runner stop mnist
Every run of the name writes a checkpoint and ends, as after Ctrl-C; the command that started it takes it up again.";

#[derive(Debug, Args)]
pub struct StopArgs {
    /// The experiment
    #[arg(value_name = "NAME")]
    name: String,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Asks the processes that work on runs of a name to end, as Ctrl-C does.
///
/// # Errors
/// A name without runs, a process that cannot be asked.
pub fn stop(args: StopArgs) -> Result<()> {
    let mut asked = BTreeSet::new();
    let mut text = String::new();
    for run in runs(&args.results, Some(&args.name))? {
        if run.state() != Some(RunState::Running) {
            continue;
        }
        let folder = run.folder.display();
        match Owner::here(&run.folder) {
            Ok(owner) => {
                if asked.insert(owner.process) {
                    owner.interrupt()?;
                }
                text.push_str(&format!(
                    "{folder}: process {} is asked to end\n",
                    owner.process
                ));
            }
            Err(why) => remark("warning", &format!("{folder}: {why}")),
        }
    }
    match text.is_empty() {
        true => out(&format!("no run of {} is running here\n", args.name)),
        false => out(&text),
    }
}
