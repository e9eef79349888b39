//! `runner gc [NAME]`

use std::path::PathBuf;

use clap::Args;

use super::output::out;
use crate::Result;
use crate::run::{Unneeded, unneeded_stages};

pub const HELP: &str = "\
Examples:
  runner gc                  stages that no run needs any more, with what they take on the disk
  runner gc mnist --remove   delete them";

#[derive(Debug, Args)]
pub struct GcArgs {
    /// Only the stages of this experiment
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Delete what is listed
    #[arg(long)]
    remove: bool,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Lists the shared stages that no run needs, or deletes them.
///
/// # Errors
/// A record of a run that cannot be read: what it needs is not known.
pub fn gc(args: GcArgs) -> Result<()> {
    let found = unneeded_stages(&args.results, args.name.as_deref())?;
    let mut text = String::new();
    for stage in &found {
        if args.remove {
            stage.remove()?;
        }
        let done = if args.remove { ", deleted" } else { "" };
        text.push_str(&format!(
            "{}: {}{done}\n",
            stage.path.display(),
            size(stage.bytes)
        ));
    }
    let all: u64 = found.iter().map(|stage: &Unneeded| stage.bytes).sum();
    text.push_str(&match (found.len(), args.remove) {
        (0, _) => "every stage is needed by a run\n".to_owned(),
        (count, true) => format!("{count} stages deleted, {}\n", size(all)),
        (count, false) => format!("{count} stages, {}; --remove deletes them\n", size(all)),
    });
    out(&text)
}

/// A number of bytes, in megabytes.
fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
