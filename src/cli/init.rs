//! `runner init TASK [FILE]`

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::output::out;
use crate::choice::one_of;
use crate::experiment::template;
use crate::spec::TaskKind;
use crate::{Error, Result};

pub const HELP: &str = "\
Examples:
  runner init attack > attack.toml            every key of an attack, with what it means
  runner init adversarial-train robust.toml   a file that must not be there yet; runner robust.toml runs it";

#[derive(Debug, Args)]
pub struct InitArgs {
    /// simulate, train, adversarial-train, attack, evaluate or transfer
    #[arg(value_name = "TASK")]
    task: String,
    /// Where to write it; standard output where there is none
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Writes a spec of a task to start from.
///
/// # Errors
/// An unknown task, a file that is there.
pub fn init(args: InitArgs) -> Result<()> {
    let task = TaskKind::from_name(&args.task).ok_or_else(|| {
        let names = TaskKind::NAMES;
        Error::spec(format!("{}: expected {}", args.task, one_of(names)))
    })?;
    let text = template(task);
    let Some(file) = &args.file else {
        return out(&text);
    };
    let mut open = OpenOptions::new();
    let mut opened = open
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(Error::io("create", file))?;
    opened
        .write_all(text.as_bytes())
        .map_err(Error::io("write", file))
}
