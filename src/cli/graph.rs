//! `runner graph SPEC`

use std::path::PathBuf;

use clap::Args;

use super::Overrides;
use super::output::{out, remark};
use super::request::request;
use crate::Result;
use crate::experiment::plan;
use crate::pipeline::{Format, Graph, points};

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The experiment, a TOML file
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// How to write the graph
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Writes the graph of a spec; of a sweep, its points and the graph of the first.
///
/// # Errors
/// Every fault of the spec.
pub fn graph(args: GraphArgs) -> Result<()> {
    let plan = plan(&request(&args.spec, &args.overrides))?;
    for warning in &plan.warnings {
        remark("warning", warning);
    }
    match plan.runs.first() {
        Some(run) => {
            let title = points(&plan);
            out(&Graph::new(&run.spec).render(args.format, title.as_deref()))
        }
        None => Ok(()),
    }
}
