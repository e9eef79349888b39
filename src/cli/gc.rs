//! `runner gc [NAME]`

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::output::out;
use crate::data::decoded_files;
use crate::run::{Unneeded, files, unneeded_stages};
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner gc                  stages that no run needs any more and decoded images, with what they take on the disk
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

/// Lists the shared stages that no run needs, and decoded images, which a run would decode anew; or deletes them.
///
/// # Errors
/// A record of a run that cannot be read: what it needs is not known.
pub fn gc(args: GcArgs) -> Result<()> {
    let stages = unneeded_stages(&args.results, args.name.as_deref())?;
    // All names share them.
    let decoded = match args.name {
        None => decoded_files(&args.results.join(files::DECODED))?,
        Some(_) => Vec::new(),
    };
    if args.remove {
        stages.iter().try_for_each(Unneeded::remove)?;
        for (path, _) in &decoded {
            Error::if_there("delete", path, fs::remove_file(path))?;
        }
    }
    let counts = [
        (stages.len(), "stage", "stages"),
        (
            decoded.len(),
            "set of decoded images",
            "sets of decoded images",
        ),
    ];
    let stages = stages.into_iter().map(|stage| (stage.path, stage.bytes));
    let found: Vec<_> = stages.chain(decoded).collect();
    let done = if args.remove { ", deleted" } else { "" };
    let mut text: String = found
        .iter()
        .map(|(path, bytes)| format!("{}: {}{done}\n", path.display(), size(*bytes)))
        .collect();
    let all = size(found.iter().map(|(_, bytes)| bytes).sum());
    let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
    let counts = counts.map(|(count, one, many)| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    });
    let counts = counts.collect::<Vec<_>>().join(" and ");
    text.push_str(&match (found.len(), args.remove) {
        (0, _) => "every stage is needed by a run\n".to_owned(),
        (_, true) => format!("{counts} deleted, {all}\n"),
        (_, false) => format!("{counts}, {all}; --remove deletes them\n"),
    });
    out(&text)
}

/// A number of bytes, in megabytes.
fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
