//! Figures and summaries, from the files of a run alone.

mod cells;
mod comparison;
mod figures;
mod groups;
mod overview;
mod page;
mod paired;
mod printed;
mod provenance;
mod rendered;
mod results;
mod robustbench;
mod settings;
mod summary;
mod tensorboard;
mod transfer_matrix;
mod transfer_pairs;
mod versus;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::error::{Error, Result};
use crate::run::{MetricsRow, RunRecord, files, runs, table};
use comparison::Comparison;
use overview::Overview;
use transfer_matrix::TransferMatrix;

pub use comparison::Chosen;
pub use figures::{Series, series};
pub use overview::Format;
pub use printed::Printing;
pub use provenance::provenance;
pub use rendered::{Rendering, render};
pub use robustbench::robustbench;
pub use tensorboard::Events;
pub use versus::{over, two, within};

/// Draws what the run in `folder` has to show into its `figures/`: accuracy and loss curves, simulation curves, a grid
/// of adversarial images, heat maps of transfer. Gives the files written; figures of a run with several stages are named after the stage.
pub fn figures(folder: &Path) -> Result<Vec<PathBuf>> {
    let record = RunRecord::read(folder)?.ok_or_else(|| {
        Error::failed(format!("{}: no run, it has no run.json", folder.display()))
    })?;
    atomic::clean_abandoned(&folder.join(files::FIGURES))?;
    let several = record.stages.len() > 1;
    let metrics: Vec<MetricsRow> = table::read(&folder.join(files::METRICS))?;
    let settings = settings::read(folder)?;
    let mut written = Vec::new();
    for stage in &record.stages {
        let (title, suffix) = match several {
            true => (
                format!("{}, {}", record.name, stage.id),
                format!("-{}", stage.id),
            ),
            false => (record.name.clone(), String::new()),
        };
        let mine: Vec<MetricsRow> = metrics
            .iter()
            .filter(|row| row.stage == stage.id)
            .cloned()
            .collect();
        let norm = settings::of_stage(&settings, &stage.id, "attack.norm");
        let norm = norm.and_then(toml::Value::as_str);
        let found = figures::of_stage(&title, &folder.join(&stage.folder), norm, &mine)?;
        for (name, svg) in found {
            written.push(write(folder, &format!("{name}{suffix}"), &svg)?);
        }
    }
    Ok(written)
}

/// Writes the tables of all runs in `named` (`results/<name>`), `summary.csv` and `results.csv`, into its `figures/` the
/// charts over what was swept, and `report.html` with all of it. Gives the files written.
pub fn summary(named: &Path, chosen: Chosen) -> Result<Vec<PathBuf>> {
    let name = named
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Error::failed(format!("{}: not a folder of runs", named.display())))?;
    for folder in [named, &named.join(files::FIGURES)] {
        atomic::clean_abandoned(folder)?;
    }
    let results = named.parent().unwrap_or(Path::new("."));
    let comparison = Comparison::new(runs(results, Some(name))?).showing(chosen)?;
    let mut written = vec![named.join(files::SUMMARY), named.join(files::RESULTS)];
    summary::write(&written[0], &comparison)?;
    results::write(&written[1], &comparison)?;
    let charts = figures::over_runs(name, &comparison)?;
    for (figure, svg) in &charts {
        written.push(write(named, figure, svg)?);
    }
    remove_outdated(&named.join(files::FIGURES), &written)?;
    let page = named.join(files::REPORT);
    page::write(&page, named, name, &comparison, &charts)?;
    written.push(page);
    Ok(written)
}

/// The finished runs of a name as a table: a row a combination of settings, means and deviations over seeds; of transfers as
/// tables for people also their matrix.
///
/// # Errors
/// A name without runs, or without one that has finished.
pub fn overview(results: &Path, name: &str, format: Format, chosen: Chosen) -> Result<String> {
    let comparison = Comparison::new(runs(results, Some(name))?).showing(chosen)?;
    let overview = Overview::new(&comparison);
    if overview.is_empty() {
        return Err(Error::failed(format!("{name}: no run has finished")));
    }
    let mut text = overview.write(format)?;
    let matrix = TransferMatrix::new(&comparison);
    if format != Format::Csv && !matrix.is_empty() {
        text += &format!("\n{}", matrix.write(format)?);
    }
    Ok(text)
}

/// The transfer matrix of the finished runs of a name: rows are surrogates and methods, columns judges.
///
/// # Errors
/// A name without runs, or without a finished transfer.
pub fn transfer(results: &Path, name: &str, format: Format) -> Result<String> {
    let matrix = TransferMatrix::new(&Comparison::new(runs(results, Some(name))?));
    if matrix.is_empty() {
        return Err(Error::failed(format!(
            "{name}: no run with a transfer has finished"
        )));
    }
    matrix.write(format)
}

/// Removes the figures over several runs that are not among `current`: of when there were fewer runs, or others.
fn remove_outdated(figures: &Path, current: &[PathBuf]) -> Result<()> {
    let entries = Error::if_there("read", figures, fs::read_dir(figures))?;
    for entry in entries.into_iter().flatten() {
        let path = entry.map_err(Error::io("read", figures))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_over_runs = figures::OVER_RUNS
            .iter()
            .any(|start| name.starts_with(start));
        let is_current = current
            .iter()
            .any(|kept| kept.with_extension("") == path.with_extension(""));
        if is_over_runs && !is_current {
            Error::if_there("remove", &path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, svg: &str) -> Result<PathBuf> {
    let figures = folder.join(files::FIGURES);
    fs::create_dir_all(&figures).map_err(Error::io("create", &figures))?;
    let path = figures.join(format!("{name}.svg"));
    atomic::write(&path, svg.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests;
