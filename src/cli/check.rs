//! `runner check SPEC...`

use std::path::{Path, PathBuf};

use clap::Args;

use super::Overrides;
use super::output::{out, remark};
use super::request::request;
use crate::experiment::plan;
use crate::pipeline::{DeviceChoice, check_data, check_memory, check_models};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Specs, and KEY=VALUE settings over all of them
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<String>,
    /// Check every combination of these values too (repeatable)
    #[arg(long, value_name = "KEY=V1,V2")]
    sweep: Vec<String>,
    /// Check the points of a CSV file whose columns are keys of the spec
    #[arg(long, value_name = "POINTS.csv")]
    sweep_from: Option<PathBuf>,
}

/// Checks specs, and that what they read is there and fits, and says what is wrong with each.
///
/// # Errors
/// All faults of all specs.
pub fn check(args: CheckArgs) -> Result<()> {
    let is_setting = |text: &String| text.contains('=') && !Path::new(text).exists();
    let (assignments, specs): (Vec<String>, Vec<String>) =
        args.specs.into_iter().partition(is_setting);
    if specs.is_empty() {
        return Err(Error::spec("check: no spec given"));
    }
    let overrides = Overrides {
        assignments,
        sweep: args.sweep,
        sweep_from: args.sweep_from,
        smoke: false,
    };
    let (mut faults, mut unsound) = (Vec::new(), false);
    for spec in specs.into_iter().map(PathBuf::from) {
        match check_one(&spec, &overrides) {
            Ok(words) => out(&format!("{}: {words}\n", spec.display()))?,
            Err(error) => {
                unsound |= error.exit_code() == 2;
                faults.push(error.to_string());
            }
        }
    }
    match (faults.is_empty(), unsound) {
        (true, _) => Ok(()),
        (false, true) => Err(Error::spec(faults.join("\n"))),
        // The specs are sound, what they read is not there.
        (false, false) => Err(Error::failed(faults.join("\n"))),
    }
}

fn check_one(spec: &Path, overrides: &Overrides) -> Result<String> {
    let mut plan = plan(&request(spec, overrides))?;
    let named = |error: Error| error.each_line(|line| format!("{}: {line}", spec.display()));
    let remarks = check_models(&plan.runs).map_err(named);
    plan.warn(remarks.as_ref().cloned().unwrap_or_default());
    for warning in &plan.warnings {
        remark("warning", warning);
    }
    remarks?;
    check_memory(&plan.runs, DeviceChoice::Auto.is_cpu()).map_err(named)?;
    check_data(&plan.runs).map_err(named)?;
    Ok(match plan.runs.len() {
        1 => "sound".to_owned(),
        runs => format!("sound, {runs} runs"),
    })
}
