//! `runner rm NAME [RUN]...`

use std::path::PathBuf;

use clap::Args;

use super::output::out;
use crate::pipeline::archive_runs;
use crate::run::{Condition, conditioned};
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner rm mnist 1f3a9c20                      one run, by its folder or the hash at the end of that
  runner rm mnist --where state=failed          all that failed
Nothing is deleted: the runs lie in results/NAME/earlier then, and the same spec runs anew.";

#[derive(Debug, Args)]
pub struct RmArgs {
    /// The experiment
    #[arg(value_name = "NAME")]
    name: String,
    /// Runs: their folders, or the hashes at the ends of those
    #[arg(value_name = "RUN", required_unless_present = "conditions")]
    runs: Vec<String>,
    /// All runs like this; see runner list --help
    #[arg(long = "where", value_name = "CONDITION", conflicts_with = "runs")]
    conditions: Vec<String>,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Moves runs to `earlier/`, and says where they are.
///
/// # Errors
/// A run that is not there, or that a process works on.
pub fn rm(args: RmArgs) -> Result<()> {
    let conditions = Condition::read_all(&args.conditions)?;
    let listed = conditioned(&args.results, Some(&args.name), &conditions)?;
    let all = || listed.iter().map(|run| run.run.clone());
    let chosen: Vec<String> = match args.runs.is_empty() {
        true => all().collect(),
        false => {
            let find = |text: &String| {
                let end = format!("-{text}");
                let mut runs = all().filter(|run| run == text || run.ends_with(&end));
                runs.next().ok_or_else(|| {
                    Error::spec(format!(
                        "{}: no run {text}; `runner list {0} --wide` shows them",
                        args.name
                    ))
                })
            };
            args.runs.iter().map(find).collect::<Result<_>>()?
        }
    };
    let moved = archive_runs(&args.results.join(&args.name), &chosen)?;
    let lines = moved.iter().map(|path| format!("{}\n", path.display()));
    out(&lines.collect::<String>())
}
