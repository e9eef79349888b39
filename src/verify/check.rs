//! Runs what a claim is about and compares.

use std::path::PathBuf;

use super::claims::Claim;
use super::verdict::Verdict;
use crate::choice::nearest;
use crate::pipeline::{Options, check_data, check_memory, described, execute_all};
use crate::run::{Metrics, Progress, RunRecord};
use crate::{Error, Result};

/// A claim that was checked, as far as it could be.
#[derive(Debug)]
pub struct Checked {
    /// The claim.
    pub claim: Claim,
    /// The figure of each run.
    pub measured: Vec<f64>,
    /// The folders of the runs.
    pub folders: Vec<PathBuf>,
    pub verdict: Verdict,
}

/// Checks a claim: runs what is not finished of it and compares the figures.
///
/// # Errors
/// What concerns more than this claim: [`Error::Interrupted`], results that cannot be written.
pub fn check(claim: Claim, options: &Options, progress: &Progress) -> Result<Checked> {
    let mut checked = Checked {
        claim,
        measured: Vec::new(),
        folders: Vec::new(),
        verdict: Verdict::Holds,
    };
    let runs = &checked.claim.plan.runs;
    let ready = check_data(runs)
        .and_then(|()| check_memory(runs, options.device.is_cpu()))
        .and_then(|()| {
            let mut runs = runs.iter();
            runs.try_for_each(|run| {
                described(&options.device_name, &run.spec.stages, &options.device).map(drop)
            })
        });
    if let Err(error) = ready {
        checked.verdict = Verdict::NotChecked(one_line(&error));
        return Ok(checked);
    }
    let metric = &checked.claim.spec.metric;
    let results = execute_all(&checked.claim.plan, options, progress, |_, _| {})?;
    for (_, result) in results {
        let folder = match result {
            Ok(outcome) => outcome.folder,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                checked.verdict = Verdict::RunFailed(one_line(&error));
                return Ok(checked);
            }
        };
        let record = RunRecord::read(&folder)?;
        let metrics = record.map(|record| record.last_metrics());
        checked.folders.push(folder);
        match measured(metric, &metrics.unwrap_or_default()) {
            Ok(figure) => checked.measured.push(figure),
            Err(why) => {
                checked.verdict = Verdict::NotChecked(why);
                return Ok(checked);
            }
        }
    }
    checked.verdict = checked.claim.spec.judge(&checked.measured);
    Ok(checked)
}

/// A metric by its name, or why there is none.
fn measured(name: &str, metrics: &Metrics) -> Result<f64, String> {
    metrics.get(name).copied().ok_or_else(|| {
        let known = || metrics.keys().map(String::as_str);
        let hint = match nearest(name, known()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
        };
        format!("the run has no metric \"{name}\"; {hint}")
    })
}

fn one_line(error: &Error) -> String {
    error.to_string().lines().collect::<Vec<_>>().join("; ")
}
