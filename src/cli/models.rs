//! `runner models [ARCH]`

use candle_core::DType;
use clap::Args;

use super::output::out;
use crate::models::{self, Arch, Layers, LinbpUse, ModelConfig};
use crate::nn::Network;
use crate::{Error, Result};

/// The image shapes that architectures are built for, in the order in which they are tried.
const SHAPES: [[usize; 3]; 2] = [[3, 32, 32], [1, 28, 28]];

const CLASSES: usize = 10;

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
                .map(|name| Ok(format!("{name:width$}  {}\n", Arch::find(name)?.about)))
                .collect();
            out(&lines?.concat())
        }
    }
}

/// An activation a line, and where LinBP makes it linear by default.
fn activations(arch: &str) -> Result<String> {
    Arch::find(arch)
        .map_err(|error| Error::spec(error.to_string().replacen("model.arch: ", "", 1)))?;
    let network = build(arch)?;
    let train = models::linear_plan(arch, &network, &Layers::Default, LinbpUse::Train)?;
    let attack = models::linear_plan(arch, &network, &Layers::Default, LinbpUse::Attack)?;
    let names = network.activations();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (place, name) in names.iter().enumerate() {
        let note = match (train.is_linear(place), attack.is_linear(place)) {
            (true, true) => "linear by default",
            (true, false) => "linear by default in training",
            (false, true) => "linear by default in attacks",
            (false, false) => "",
        };
        text.push_str(format!("{name:width$}  {note}").trim_end());
        text.push('\n');
    }
    Ok(text)
}

fn build(arch: &str) -> Result<Network> {
    let config = |image| ModelConfig {
        image,
        classes: CLASSES,
        dropout: None,
        widths: None,
        activation: None,
        normalize: None,
        seed: 0,
        dtype: DType::F32,
    };
    let [first, second] = SHAPES;
    models::build(arch, &config(first)).or_else(|_| models::build(arch, &config(second)))
}
