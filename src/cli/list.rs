//! `runner list [NAME]`

use std::path::PathBuf;

use clap::Args;

use super::output::out;
use crate::{Result, run};

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only the runs of this experiment
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Lists runs: state, progress, last metrics.
///
/// # Errors
/// A name without runs, a folder that cannot be read.
pub fn list(args: ListArgs) -> Result<()> {
    out(&run::list(&args.results, args.name.as_deref())?)
}
