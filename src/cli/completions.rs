//! `runner completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::output::out;
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes a completion script.
///
/// # Errors
/// A standard output that cannot be written.
pub fn completions(args: CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "runner", &mut script);
    let script = String::from_utf8(script);
    out(&script.map_err(|_| Error::failed("the completion script is no text"))?)
}
