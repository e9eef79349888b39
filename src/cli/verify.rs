//! `runner verify FILE...`

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{out, remark};
use crate::pipeline::{DeviceChoice, Options};
use crate::run::log::{self, Verbosity};
use crate::run::{Progress, interrupt};
use crate::verify::{self, Verdict, read_claims};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Files of claims, and KEY=VALUE settings over the specs of all of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Runs of a claim, one for each of its seeds, at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// The folder of all results
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Say nothing but errors and the table
    #[arg(short, long)]
    quiet: bool,
}

/// What `--help` says of files of claims.
pub const HELP: &str = "\
A file of claims:
  [spec]                                      # what the specs of all claims have in common
  task = \"evaluate\"
  data = { kind = \"cifar10\", dir = \"data/cifar10\" }

  [[claim]]
  name = \"ResNet-20, clean\"
  spec = { model = { arch = \"resnet20\", weights = \"weights/resnet20.th\" } }   # or the path of a spec
  metric = \"test_accuracy\"                    # a column of summary.csv; accuracies go from 0 to 1
  expected = 0.9173                           # with a tolerance, or at_least and at_most
  tolerance = 0.0005
  source = \"the paper, table 2\"

  [[claim]]
  name = \"ResNet-20, PGD-10\"                  # random: a range, that holds for every seed
  spec = { model = { arch = \"resnet20\", weights = \"weights/resnet20.th\" }, evaluate.attacks = [\"pgd\"],
           attack = { kind = \"pgd\", epsilon = \"8/255\", step_size = \"2/255\", k = 10 } }
  metric = \"test_pgd_accuracy\"
  at_most = 0.01
  seeds = [0, 1, 2]
  source = \"the paper, table 3\"

Each claim is a run under results/ like any other: what is finished is not run again.

Examples:
  runner verify experiments/verify/closed_form.toml          needs no files besides
  runner verify experiments/verify/*.toml data.dir=/data/cifar10

Exit codes: 0 every claim holds, 1 a claim fails, 2 a file is faulty, or a claim could not be checked because what
it reads is missing.";

/// Runs what the claims of all files are about and prints how they compare.
///
/// # Errors
/// Every fault of every file before anything runs; claims that fail or could not be checked.
pub fn verify(args: VerifyArgs) -> Result<()> {
    let is_setting = |text: &String| text.contains('=') && !Path::new(text).exists();
    let (settings, files): (Vec<String>, Vec<String>) =
        args.files.into_iter().partition(is_setting);
    if files.is_empty() {
        return Err(Error::spec("verify: no file of claims given"));
    }
    let progress = Progress::new(args.quiet);
    let verbosity = match args.quiet {
        true => Verbosity::Quiet,
        false => Verbosity::Normal,
    };
    log::install(verbosity, &progress);
    let (mut claims, mut faults) = (Vec::new(), Vec::new());
    for file in &files {
        match read_claims(Path::new(file), &settings) {
            Ok(read) => claims.extend(read),
            Err(error) => faults.push(error.to_string()),
        }
    }
    if !faults.is_empty() {
        return Err(Error::spec(faults.join("\n")));
    }
    for warning in claims.iter().flat_map(|claim| &claim.plan.warnings) {
        if !args.quiet {
            remark("warning", warning);
        }
    }
    let (device, device_name) = args.device.open()?;
    interrupt::install(&progress)?;
    let options = Options {
        results: args.results,
        device,
        device_name,
        choice: args.device,
        retries: 0,
        jobs: args.jobs.into(),
        fail_fast: false,
        extend: false,
        stages: Vec::new(),
        fresh: false,
        command: std::env::args_os()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect(),
    };
    let mut checked = Vec::new();
    for claim in claims {
        progress.line(&format!("claim {}", claim.spec.name));
        checked.push(verify::check(claim, &options, &progress)?);
    }
    out(&verify::table(&checked))?;
    let count = |such: fn(&Verdict) -> bool| {
        let verdicts = checked.iter().map(|one| &one.verdict);
        verdicts.filter(|verdict| such(verdict)).count()
    };
    let failed = count(|verdict| matches!(verdict, Verdict::Fails | Verdict::RunFailed(_)));
    let unchecked = count(|verdict| matches!(verdict, Verdict::NotChecked(_)));
    let total = checked.len();
    match (failed, unchecked) {
        (0, 0) => Ok(()),
        (0, _) => Err(Error::Unchecked(format!(
            "{unchecked} of {total} claims not checked"
        ))),
        (_, 0) => Err(Error::failed(format!("{failed} of {total} claims failed"))),
        _ => Err(Error::failed(format!(
            "{failed} of {total} claims failed, {unchecked} not checked"
        ))),
    }
}
