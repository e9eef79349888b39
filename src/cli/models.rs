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

/// What stands for the architectures that have no line of their own.
const PATTERN: &str = "the same of depth D = 10, 16, 22, 28, .. (6n + 4) and W = 1 to 64 times the channels, as in \
                       wide_resnet34_20";

const STEMS: &str = "\
model.stem of ResNets, ResNeXts and DenseNets: what follows the 3x3 convolution
\"3x3-maxpool\"  a 3x3 max-pool of stride 2, as in huyvnphan/PyTorch_CIFAR10; the default where weights are random
\"3x3\"          nothing, as in kuangliu/pytorch-cifar, or in torchvision's with maxpool = Identity
The tensors of both look alike: weights from outside need the right one.
";

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
            let lines = names
                .iter()
                .map(|name| Ok(format!("{name:width$}  {}\n", Arch::find(name)?.about())));
            let lines: Result<Vec<String>> = lines.collect();
            out(&format!(
                "{}{:width$}  {PATTERN}\n\n{STEMS}",
                lines?.concat(),
                "wide_resnetD_W"
            ))
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
