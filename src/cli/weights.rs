//! `runner weights inspect FILE`, `runner weights convert IN OUT` and `runner weights export RUN OUT`

mod export;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::out;
use crate::aligned::aligned;
use crate::weights::{inspect_entry, load_entry, save_safetensors};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct WeightsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Names, shapes and types of the tensors in a .pt, .pth or .safetensors file
    #[command(after_help = "Example:\n  runner weights inspect weights/resnet18.pt")]
    Inspect {
        /// The file; nothing in it is executed
        file: PathBuf,
        /// The entry of a torch file to look into, as in "ema"
        #[arg(long)]
        entry: Option<String>,
    },
    /// Write the tensors of any readable file as .safetensors
    #[command(after_help = "Example:\n  runner weights convert resnet18.pt resnet18.safetensors")]
    Convert {
        /// A .pt, .pth or .safetensors file
        #[arg(value_name = "IN")]
        from: PathBuf,
        /// The file to write; an existing one is not overwritten
        #[arg(value_name = "OUT.safetensors")]
        to: PathBuf,
        /// The entry of a torch file to take, as in "ema"
        #[arg(long)]
        entry: Option<String>,
    },
    /// Write the network of a run for other programs: an ONNX file, or a state dict for PyTorch
    #[command(after_help = "\
Examples:
  runner weights export quickstart net.onnx
  runner weights export results/quickstart/1f3a9c20 net.safetensors --checkpoint best")]
    Export(export::ExportArgs),
}

/// Looks into a file of weights, converts it, or writes the network of a run.
///
/// # Errors
/// A file that cannot be read or is damaged, a target that exists or has another ending.
pub fn weights(args: WeightsArgs) -> Result<()> {
    match args.action {
        Action::Inspect { file, entry } => {
            let tensors = inspect_entry(&file, entry.as_deref())?;
            let sizes = tensors.iter().map(|tensor| tensor.shape.iter());
            let numbers: usize = sizes.map(|sides| sides.product::<usize>()).sum();
            let lines = tensors.iter().map(|tensor| {
                let form = format!("{}  {:?}", tensor.element, tensor.shape);
                [tensor.name.clone(), form]
            });
            let (lines, count) = (aligned(lines), tensors.len());
            out(&format!("{lines}{count} tensors, {numbers} numbers\n"))
        }
        Action::Convert { from, to, entry } => {
            if to.extension().is_none_or(|ending| ending != "safetensors") {
                return Err(Error::spec(format!(
                    "{}: expected a file that ends in .safetensors",
                    to.display()
                )));
            }
            refuse_existing(&to)?;
            let tensors = load_entry(&from, entry.as_deref())?;
            save_safetensors(&to, &tensors, HashMap::new())?;
            out(&format!("{}: {} tensors\n", to.display(), tensors.len()))
        }
        Action::Export(args) => export::export(args),
    }
}

fn refuse_existing(path: &Path) -> Result<()> {
    match path.exists() {
        false => Ok(()),
        true => Err(Error::failed(format!(
            "{}: exists; remove it or choose another name",
            path.display()
        ))),
    }
}
