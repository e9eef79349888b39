//! `runner weights export RUN OUT`

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::output::out;
use crate::models::Moment;
use crate::pipeline::{FoundNetwork, network_of};
use crate::run::RunRecord;
use crate::weights::save_safetensors;
use crate::{Error, Result, atomic, onnx, run};

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The name of an experiment, NAME/RUN where it has several runs, or a run's folder; or a spec whose model has weights
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// NET.onnx for other programs, NET.safetensors for PyTorch; an existing file is not overwritten
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// The stage whose network it is, where several have one
    #[arg(long, value_name = "ID")]
    stage: Option<String>,
    /// The weights of a checkpoint in place of those at the end: best or last
    #[arg(long, value_name = "WHICH", value_parser = moment)]
    checkpoint: Option<Moment>,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

fn moment(text: &str) -> Result<Moment, String> {
    let moment = Moment::from_name(text).filter(|moment| *moment != Moment::Final);
    moment.ok_or_else(|| "expected best or last".into())
}

/// Writes the network of a run as an ONNX file or a state dict.
///
/// # Errors
/// What names no run and no spec, a run without weights, a file that exists or has another ending.
pub fn export(args: ExportArgs) -> Result<()> {
    let to = &args.to;
    let ending = to.extension().and_then(|ending| ending.to_str());
    if !matches!(ending, Some("onnx" | "safetensors")) {
        return Err(Error::spec(format!(
            "{}: expected a file that ends in .onnx or .safetensors",
            to.display()
        )));
    }
    super::refuse_existing(to)?;
    let from = find(&args.run, &args.results)?;
    let moment = args.checkpoint.unwrap_or(Moment::Final);
    let found = network_of(&from, args.stage.as_deref(), moment)?;
    let FoundNetwork {
        network,
        image: [channels, height, width],
        origin,
        weights,
    } = &found;
    if ending == Some("onnx") {
        atomic::write(to, &onnx::export(network, found.image)?)?;
    } else {
        save_safetensors(to, &network.state()?, origin.metadata())?;
    }
    let weights = weights.as_deref().map(Path::display);
    let weights = weights.map_or(String::new(), |path| format!(" with the weights of {path}"));
    out(&format!(
        "{}: {}{weights}, for images of {channels}x{height}x{width}\n",
        to.display(),
        origin.arch
    ))
}

/// The folder of the run or the spec that `named` stands for.
fn find(named: &Path, results: &Path) -> Result<PathBuf> {
    let is_run = |folder: &Path| folder.is_dir() && matches!(RunRecord::read(folder), Ok(Some(_)));
    if named.is_file() {
        return match named.extension().is_some_and(|ending| ending == "toml") {
            true => Ok(named.to_owned()),
            false => Err(Error::spec(format!(
                "{}: a file of weights does not say which images its network takes and how they are normalised; name the \
                 run that left it, or a spec whose model.weights it is",
                named.display()
            ))),
        };
    }
    for folder in [named.to_owned(), results.join(named)] {
        if is_run(&folder) {
            return Ok(folder);
        }
    }
    let name = named.display().to_string();
    let runs = run::runs(results, Some(&name))?;
    match runs.as_slice() {
        [only] => Ok(only.folder.clone()),
        runs => {
            let names = runs.iter().map(|run| format!("{}/{}", run.name, run.run));
            Err(Error::spec(format!(
                "{name} has {} runs; choose one of {}",
                runs.len(),
                names.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}
