//! `runner models [ARCH]`

use clap::Args;

use super::output::out;
use crate::models::{self, Arch};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// An architecture: lists its activations in order
    #[arg(value_name = "ARCH")]
    arch: Option<String>,
}

/// Lists the architectures, or the activations of one.
///
/// # Errors
/// An architecture that is not known.
pub fn models(args: ModelsArgs) -> Result<()> {
    match args.arch {
        Some(arch) => out(&activations(&arch)?),
        None => {
            let names = models::names();
            let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
            let lines: Result<Vec<String>> = names
                .iter()
                .map(|name| Ok(format!("{name:width$}  {}\n", Arch::find(name)?.about())))
                .collect();
            out(&lines?.concat())
        }
    }
}

/// An activation a line, and where LinBP makes it linear by default.
fn activations(arch: &str) -> Result<String> {
    Arch::find(arch)
        .map_err(|error| Error::spec(error.to_string().replacen("model.arch: ", "", 1)))?;
    let activations = models::describe(arch)?.activations;
    let width = activations
        .iter()
        .map(|activation| activation.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for activation in activations {
        let note = match (activation.linear_train, activation.linear_attack) {
            (true, true) => "linear by default",
            (true, false) => "linear by default in training",
            (false, true) => "linear by default in attacks",
            (false, false) => "",
        };
        text.push_str(format!("{:width$}  {note}", activation.name).trim_end());
        text.push('\n');
    }
    Ok(text)
}
