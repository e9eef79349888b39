//! `runner compare NAME --over KEY`, `runner compare RUN [RUN]`

use std::path::PathBuf;

use clap::Args;

use super::output::out;
use crate::report::Printing;
use crate::{Error, Result, report};

pub const HELP: &str = "\
Examples:
  runner compare mnist --over linbp.train                  paired over seeds and all other settings
  runner compare mnist --over linbp.train --format latex > table.tex
  runner compare transfer/5a21c0de                         LinBP against BP, and attacks, on each surrogate and judge
  runner compare cifar/1f3a9c20 cifar/77b0e1d4             settings, metrics, and images that one alone broke";

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// An experiment's name with --over, or one run with a transfer or two runs as NAME/RUN
    #[arg(required = true, num_args = 1..=2, value_name = "NAME | RUN")]
    what: Vec<String>,
    /// The setting whose values are held against each other, over pairs of runs that differ in it alone
    #[arg(long, value_name = "KEY")]
    over: Option<String>,
    /// How tables are printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Printing,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Holds runs against each other.
///
/// # Errors
/// Names without runs, a key in which they do not differ.
pub fn compare(args: CompareArgs) -> Result<()> {
    let text = match (args.what.as_slice(), &args.over) {
        ([name], Some(key)) => report::over(&args.results, name, key, args.format)?,
        ([one, other], None) => report::two(&args.results, [one, other], args.format)?,
        ([run], None) if run.contains('/') => report::within(&args.results, run, args.format)?,
        _ => {
            return Err(Error::spec(
                "compare: expected one name with --over KEY, or one run or two as NAME/RUN without it",
            ));
        }
    };
    out(&text)
}
