//! The runs of a plan as array jobs of Slurm. The frozen runs lie in `results/<name>/slurm/<number>/`, so that later edits of
//! the spec change nothing; each task of the array is one run, which resumes like any other.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::contents::Contents;
use super::selection::standing;
use super::shared::groups;
use crate::experiment::{FrozenRun, Plan, PlannedRun};
use crate::quoted::quoted;
use crate::run::{Lock, RunState};
use crate::{Error, Result, atomic};

/// Where submitted runs lie under `results/<name>/`.
pub(super) const FOLDER: &str = "slurm";

/// The file of a submission that has the numbers of its jobs, one a line.
pub(super) const JOBS: &str = "jobs";

/// Tasks of one array: what Slurm allows where its administrator says nothing is 1,001.
const ARRAY: usize = 1000;

/// Seconds before the end of a job's time at which its run is asked to save.
const WARNING: u32 = 120;

/// What was submitted.
#[derive(Debug)]
pub struct Submitted {
    /// The jobs' numbers.
    pub jobs: Vec<String>,
    pub runs: usize,
    /// Runs that are finished, or that a process works on.
    pub left_out: usize,
    pub folder: PathBuf,
}

/// How runs are submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    pub results: PathBuf,
    /// `--device` of each run.
    pub device: String,
    /// The command line, for the records.
    pub command: Vec<String>,
}

/// Submits the runs of a plan that are not finished, and a job that reports when all have ended.
///
/// # Errors
/// No `sbatch` on this machine, or one that refuses the jobs.
pub fn submit(plan: &Plan, submission: &Submission) -> Result<Submitted> {
    let named = submission.results.join(&plan.name);
    let contents = Contents::open(&submission.results);
    let mut left = Vec::new();
    for run in &plan.runs {
        let (_, state) = standing(run, &named, &contents)?;
        if !matches!(state, Some(RunState::Finished | RunState::Running)) {
            left.push(run);
        }
    }
    let folder = free_folder(&named.join(FOLDER))?;
    // A file system without locks is said here, and not by every job.
    drop(Lock::acquire(&folder)?);
    let mut submitted = Submitted {
        jobs: Vec::new(),
        runs: left.len(),
        left_out: plan.runs.len() - left.len(),
        folder: folder.clone(),
    };
    let mut submit = |path: &Path, script: String| -> Result<String> {
        atomic::write(path, script.as_bytes())?;
        submitted.jobs.push(sbatch(path)?);
        let numbers = submitted.jobs.join("\n") + "\n";
        atomic::write(&folder.join(JOBS), numbers.as_bytes())?;
        Ok(submitted.jobs[submitted.jobs.len() - 1].clone())
    };
    let mut number = 0;
    for group in groups(&left, &named, &contents)? {
        let mut after = None;
        for runs in group.runs.chunks(ARRAY) {
            let array = folder.join(number.to_string());
            number += 1;
            fs::create_dir_all(&array).map_err(Error::io("create", &array))?;
            for (position, run) in runs.iter().enumerate() {
                freeze(plan, run, &array.join(format!("{position}.json")))?;
            }
            if after.is_none() && !group.stages.is_empty() {
                let script = shared_script(plan, &array, &group.stages, submission)?;
                after = Some(submit(&array.join("shared.sh"), script)?);
            }
            let script = array_script(plan, &array, runs.len(), after.as_deref(), submission)?;
            submit(&array.join("job.sh"), script)?;
        }
    }
    if !submitted.jobs.is_empty() {
        let report = folder.join("report.sh");
        let text = report_script(plan, &folder, submission, &submitted.jobs)?;
        atomic::write(&report, text.as_bytes())?;
        sbatch(&report)?;
    }
    Ok(submitted)
}

fn freeze(plan: &Plan, run: &PlannedRun, path: &Path) -> Result<()> {
    let text = serde_json::to_vec_pretty(&FrozenRun::new(plan, run))
        .map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
    atomic::write(path, &text)
}

/// Makes the folder of the first number that is free.
fn free_folder(parent: &Path) -> Result<PathBuf> {
    fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    for number in 1.. {
        let folder = parent.join(number.to_string());
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create", &folder)(error)),
        }
    }
    Err(Error::failed(format!(
        "{}: no folder is free",
        parent.display()
    )))
}

/// The head of a script, and the commands that every job begins with.
fn head(plan: &Plan, log: &Path, more: &[String]) -> Result<String> {
    let here = std::env::current_dir().map_err(Error::io("read", Path::new(".")))?;
    let mut text = format!("#!/bin/bash\n#SBATCH --job-name=runner-{}\n", plan.name);
    let log = here.join(log);
    let given = [
        format!("--output={}", log.display()),
        "--open-mode=append".to_owned(),
    ];
    for option in given.iter().chain(&plan.launcher.options()).chain(more) {
        let _ = writeln!(text, "#SBATCH {option}");
    }
    let _ = writeln!(text, "cd {} || exit 1", quoted(&here.to_string_lossy()));
    for line in &plan.launcher.setup {
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

fn program() -> Result<String> {
    let program = std::env::current_exe()
        .map_err(|error| Error::failed(format!("cannot find this program: {error}")))?;
    Ok(quoted(&program.to_string_lossy()))
}

/// A job for the stages that all runs of an array wait for, which it carries out as the array's first run.
fn shared_script(
    plan: &Plan,
    array: &Path,
    stages: &[String],
    submission: &Submission,
) -> Result<String> {
    let stages = format!("--stages {} ", quoted(&stages.join(",")));
    let log = array.join("shared.log");
    script(plan, array, &log, Vec::new(), (&stages, "0"), submission)
}

/// An array of runs, which begin once the job `after` has ended. Where that one failed they fail by themselves, or make up for it.
fn array_script(
    plan: &Plan,
    array: &Path,
    tasks: usize,
    after: Option<&str>,
    submission: &Submission,
) -> Result<String> {
    let limit = plan.launcher.array_limit.map(|limit| format!("%{limit}"));
    let tasks = format!("--array=0-{}{}", tasks - 1, limit.unwrap_or_default());
    let mut options = vec![tasks];
    options.extend(after.map(|job| format!("--dependency=afterany:{job}")));
    let log = array.join("%a.log");
    let run = ("", "$SLURM_ARRAY_TASK_ID");
    script(plan, array, &log, options, run, submission)
}

/// A script that carries out a frozen run of an array, by its number, or some stages of it.
fn script(
    plan: &Plan,
    array: &Path,
    log: &Path,
    mut options: Vec<String>,
    (stages, number): (&str, &str),
    submission: &Submission,
) -> Result<String> {
    options.push("--requeue".to_owned());
    if plan.launcher.time.is_some() {
        options.push(format!("--signal=B:USR1@{WARNING}"));
    }
    let mut text = head(plan, log, &options)?;
    let command: Vec<String> = submission.command.iter().map(|word| quoted(word)).collect();
    let _ = write!(
        text,
        "[ -n \"$SLURM_CPUS_PER_TASK\" ] && export RAYON_NUM_THREADS=$SLURM_CPUS_PER_TASK\n\
         {program} point --results {results} --device {device} {stages}{array}/{number}.json -- {command} &\n\
         run=$!\n\
         # Time is up: the run saves, and the job is queued again.\n\
         trap 'again=1; kill -TERM $run' USR1\n\
         trap 'kill -TERM $run' TERM\n\
         code=0; wait $run || code=$?\n\
         while kill -0 $run 2>/dev/null; do code=0; wait $run || code=$?; done\n\
         [ \"$code\" = 130 ] && [ -n \"$again\" ] && scontrol requeue \"${{SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}}${{SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}}\"\n\
         exit $code\n",
        program = program()?,
        results = quoted(&submission.results.to_string_lossy()),
        device = submission.device,
        array = quoted(&array.to_string_lossy()),
        command = command.join(" "),
    );
    Ok(text)
}

fn report_script(
    plan: &Plan,
    folder: &Path,
    submission: &Submission,
    jobs: &[String],
) -> Result<String> {
    let after = format!("--dependency=afterany:{}", jobs.join(":"));
    let mut text = head(plan, &folder.join("report.log"), &[after])?;
    let results = quoted(&submission.results.to_string_lossy());
    let _ = writeln!(
        text,
        "{} report {} --results {results}",
        program()?,
        quoted(&plan.name)
    );
    Ok(text)
}

/// Submits a script; the number of its job.
fn sbatch(script: &Path) -> Result<String> {
    let output = Command::new("sbatch")
        .arg("--parsable")
        .arg(script)
        .output()
        .map_err(|error| {
            Error::failed(format!(
                "sbatch: {error}; --launcher slurm needs a machine from which jobs can be submitted"
            ))
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.success() {
        // A job of another cluster is `number;cluster`.
        true => Ok(said.trim().split(';').next().unwrap_or_default().to_owned()),
        false => Err(Error::failed(format!(
            "sbatch: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
