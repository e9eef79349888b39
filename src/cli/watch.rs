//! `runner watch [NAME]`

mod curves;
mod lines;
mod terminal;
mod view;
mod watched;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::Result;
use watched::Watched;

pub const HELP: &str = "\
Examples:
  runner watch mnist
  runner watch --results /scratch/results > watch.log &     a table whenever something has changed, until no run is under way

Without a NAME: the runs of every name that has one under way; where none has, those of the name that was worked on last.
Keys: arrows or j and k select a run, s stops it (after y), l shows its log, r the command that takes it up again, q leaves.
EX/S is examples per second. The files of the runs are read about once a second; leaving it leaves the runs alone.";

/// How often the files of runs are read.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Only the runs of this experiment
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Shows runs while they are under way: on a terminal with their curves, elsewhere as lines.
///
/// # Errors
/// A name without runs, a terminal or an output that cannot be written to.
pub fn watch(args: WatchArgs) -> Result<()> {
    let watched = Watched::new(args.results, args.name);
    let draws = io::stdout().is_terminal()
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
    match draws {
        true => terminal::show(watched),
        false => lines::print(watched),
    }
}
