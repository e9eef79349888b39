//! `runner list [NAME]`

use std::path::PathBuf;

use clap::Args;

use super::output::{out, remark};
use crate::pipeline::queued;
use crate::run::{Condition, Listing, Order};
use crate::{Result, run};

pub const HELP: &str = "\
Examples:
  runner list quickstart
  runner list mnist --where 'linbp.train=true and test_pgd_accuracy>0.4' --best test_pgd_accuracy
  runner list --where state=failed --wide";

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only the runs of this experiment
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only runs like this: comparisons (= != > < >= <=) of settings, metrics and `state`, joined by \"and\"
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// In the order of a metric or a setting
    #[arg(long, value_name = "KEY")]
    sort: Option<String>,
    /// The best run first, by a metric: the smallest loss, the largest of anything else
    #[arg(long, value_name = "KEY", conflicts_with = "sort")]
    best: Option<String>,
    /// Whole names and all metrics, in lines of any length
    #[arg(long)]
    wide: bool,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Lists runs: state, age, progress, last metrics.
///
/// # Errors
/// A name without runs, a key that no run has, a folder that cannot be read.
pub fn list(args: ListArgs) -> Result<()> {
    let listing = Listing {
        name: args.name,
        conditions: Condition::read_all(&args.conditions)?,
        order: args.sort.map(Order::Rising).or(args.best.map(Order::Best)),
        wide: args.wide,
    };
    let queue = listing.name.as_ref();
    let queue = queue.and_then(|name| queued(&args.results.join(name)));
    out(&run::list(&args.results, &listing)?)?;
    if let Some(words) = queue {
        remark("note", &words);
    }
    Ok(())
}
