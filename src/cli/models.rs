//! `runner models [ARCH]`

use clap::Args;

use super::output::out;
use crate::aligned::aligned;
use crate::models::{self, Arch, LAYER_KINDS};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// An architecture: lists its activations in order
    #[arg(value_name = "ARCH")]
    arch: Option<String>,
}

const STEMS: &str = "\
model.stem of ResNets, ResNeXts, DenseNets and MobileNetV2: the first convolution and what follows
\"3x3-maxpool\"  a 3x3 max-pool of stride 2, as in huyvnphan/PyTorch_CIFAR10; not of MobileNetV2
\"3x3\"          nothing, as in kuangliu/pytorch-cifar, or in torchvision's with maxpool = Identity
\"7x7-maxpool\"  torchvision's for large images; not of MobileNetV2
\"3x3-stride2\"  torchvision's MobileNetV2 for large images
Where weights are random the default is \"3x3-maxpool\", of MobileNetV2 \"3x3\". The tensors of most look alike: weights from
outside need the right one.
";

const BLOCKS: &str = "\
{ residual = [...], shortcut = [...] }: the sum of two lists of layers, the second one none unless it is given

model.layers is a list of these. An activation is named by the position of its layer, from 0: \"2\"; in a residual
block \"4.body.0\" or \"4.shortcut.0\".
";

/// Lists the architectures, the activations of one, or the layers that a spec can write down.
///
/// # Errors
/// An architecture that is not known.
pub fn models(args: ModelsArgs) -> Result<()> {
    match args.arch {
        Some(arch) => out(&activations(&arch)?),
        None => out(&format!("{}\n{STEMS}", list())),
    }
}

/// An architecture a line, and a line for those that have a pattern in place of a name.
fn list() -> String {
    let records =
        models::all().map(|record| (record.name, format!("{}, {}", record.about, record.paper)));
    let patterns = models::patterns().map(|(_, pattern)| pattern);
    let lines = records.chain(patterns.map(|pattern| (pattern.name, pattern.about.to_owned())));
    aligned(lines.map(|(name, about)| [name.to_owned(), about]))
}

/// A kind of layer a line.
fn layers() -> String {
    let lines = LAYER_KINDS.iter().map(|kind| [kind.usage, kind.about]);
    format!(
        "{}{BLOCKS}",
        aligned(lines.map(|line| line.map(str::to_owned)))
    )
}

/// An activation a line, and where LinBP makes it linear by default.
fn activations(arch: &str) -> Result<String> {
    let found = Arch::find(arch)
        .map_err(|error| Error::spec(error.to_string().replacen("model.arch: ", "", 1)))?;
    if found.layers {
        return Ok(layers());
    }
    let activations = models::describe(arch)?.activations;
    Ok(aligned(activations.into_iter().map(
        |(name, train, attack)| {
            let note = match (train, attack) {
                (true, true) => "linear by default",
                (true, false) => "linear by default in training",
                (false, true) => "linear by default in attacks",
                (false, false) => "",
            };
            [name, note.to_owned()]
        },
    )))
}
