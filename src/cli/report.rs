//! `runner report [NAME]`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use rayon::prelude::*;

use super::output::out;
use crate::report::{Chosen, Format, Rendering};
use crate::run::ListedRun;
use crate::{Error, Result, report, run};

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Only the runs of this experiment
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Say where the figures of each run come from, in place of drawing them: program, libraries, device, inputs with their
    /// hashes, seeds
    #[arg(long)]
    provenance: bool,
    /// Print one table of the finished runs in place of drawing, means and deviations over seeds
    #[arg(long, requires = "name", conflicts_with = "provenance")]
    format: Option<Format>,
    /// Of that, the transfer matrix alone: as comma-separated values too, and with every denominator
    #[arg(long, requires = "format", conflicts_with = "robustbench")]
    transfer: bool,
    /// The metrics of tables and figures over several runs, in place of those that matter most
    #[arg(
        long,
        value_name = "METRIC,...",
        value_delimiter = ',',
        requires = "name"
    )]
    metrics: Vec<String>,
    /// The setting along the axis of those figures
    #[arg(long, value_name = "KEY", requires = "name")]
    over: Option<String>,
    /// Write each figure as PNG or as PDF too
    #[arg(long, value_name = "AS")]
    figures: Option<Rendering>,
    /// Write a record in RobustBench's form for each finished stage that judged a network by AutoAttack, in place of drawing
    #[arg(long, requires = "name", conflicts_with_all = ["provenance", "format"])]
    robustbench: bool,
}

/// Draws the figures of all runs of a name, or of all names, and writes each name's `summary.csv` and `results.csv`. A run
/// whose files cannot be read leaves the others going.
///
/// # Errors
/// A name without runs; the faults of all runs that could not be drawn.
pub fn report(args: ReportArgs) -> Result<()> {
    let chosen = Chosen {
        metrics: args.metrics,
        over: args.over,
    };
    if let (Some(format), Some(name)) = (args.format, &args.name) {
        return out(&match args.transfer {
            true => report::transfer(&args.results, name, format)?,
            false => report::overview(&args.results, name, format, chosen)?,
        });
    }
    if let (true, Some(name)) = (args.robustbench, &args.name) {
        let written = report::robustbench(&args.results, name)?;
        return written
            .iter()
            .try_for_each(|path| out(&format!("{}\n", path.display())));
    }
    let runs = run::runs(&args.results, args.name.as_deref())?;
    if args.provenance {
        return provenance(runs);
    }
    let names: BTreeSet<String> = runs.iter().map(|run| run.name.clone()).collect();
    let mut faults = Vec::new();
    let figures = runs.par_iter().map(|run| report::figures(&run.folder));
    let figures: Vec<_> = figures.collect();
    let summaries = names
        .iter()
        .map(|name| report::summary(&args.results.join(name), chosen.clone()));
    for written in figures.into_iter().chain(summaries) {
        match written {
            Ok(mut paths) => {
                if let Some(rendering) = args.figures {
                    let figures = paths.par_iter().filter(|path| is_figure(path));
                    let rendered = figures.map(|path| report::render(path, rendering));
                    for rendered in rendered.collect::<Vec<_>>() {
                        match rendered {
                            Ok(path) => paths.push(path),
                            Err(error) => faults.push(error.to_string()),
                        }
                    }
                }
                for path in paths {
                    out(&format!("{}\n", path.display()))?;
                }
            }
            Err(error) => faults.push(error.to_string()),
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed(faults.join("\n")))
    }
}

fn is_figure(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "svg")
}

/// Says where the figures of runs come from.
fn provenance(runs: Vec<ListedRun>) -> Result<()> {
    let mut faults = Vec::new();
    for run in runs {
        match report::provenance(run) {
            Ok(text) => out(&format!("{text}\n"))?,
            Err(error) => faults.push(error.to_string()),
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed(faults.join("\n"))),
    }
}
