//! `runner man DIR`

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::Cli;
use super::output::out;
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner man ~/.local/share/man/man1    then: man runner, man runner-list
  runner man .";

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder that the pages are written to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes a manual page for the program and for each of its commands.
///
/// # Errors
/// A folder that cannot be written to.
pub fn man(args: ManArgs) -> Result<()> {
    std::fs::create_dir_all(&args.folder).map_err(Error::io("create", &args.folder))?;
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .map_err(Error::io("write", &args.folder))?;
    out(&format!("{}\n", args.folder.join("runner.1").display()))
}
