//! `runner data get NAME` and `runner data info SPEC`

mod get;
mod info;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Overrides;
use super::output::out;
use crate::Result;
use crate::aligned::aligned;
use crate::data::KINDS;

#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the kinds of data that a spec can name
    #[command(after_help = "Example:\n  runner data list")]
    List,
    /// Download a data set, verify it by its checksum and unpack it; a broken download goes on where it stopped
    ///
    /// Images in class folders need no get: put them into DIR as train/<class>/* and test/<class>/*, PNG or JPEG, and
    /// name DIR in data.dir.
    #[command(after_help = "\
Examples:
  runner data get mnist
  runner data get cifar10 --from ~/Downloads/cifar-10-binary.tar.gz")]
    Get {
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(published()))]
        name: String,
        /// The folder for it; default data/NAME
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Take the files from this folder, or this archive, instead of the web
        #[arg(long, value_name = "DIR|FILE", conflicts_with = "mirror")]
        from: Option<PathBuf>,
        /// Fetch from URL/FILE alone, instead of the mirrors that are known (repeatable, tried in order)
        #[arg(long, value_name = "URL")]
        mirror: Vec<String>,
    },
    /// What the data of a spec comes to: format, images per class, shape, mean and deviation
    #[command(after_help = "Example:\n  runner data info experiments/quickstart.toml")]
    Info {
        /// The spec
        spec: PathBuf,
        #[command(flatten)]
        overrides: Overrides,
    },
}

/// The names of the kinds of data that can be fetched.
fn published() -> impl Iterator<Item = &'static str> {
    let kinds = KINDS.iter().filter(|kind| kind.downloads.is_some());
    kinds.map(|kind| kind.name)
}

/// Lists kinds of data, fetches data, or describes it.
///
/// # Errors
/// Data that cannot be fetched or read.
pub fn data(args: DataArgs) -> Result<()> {
    match args.action {
        Action::List => {
            let kinds = KINDS.iter().map(|kind| [kind.name, kind.about]);
            out(&aligned(kinds.map(|kind| kind.map(str::to_owned))))
        }
        Action::Get {
            name,
            dir,
            from,
            mirror,
        } => {
            let dir = dir.unwrap_or_else(|| PathBuf::from("data").join(&name));
            get::get(&name, &dir, from.as_deref(), &mirror)
        }
        Action::Info { spec, overrides } => info::info(&spec, &overrides),
    }
}
