//! Where the submitted runs of a name stand, as Slurm tells.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use super::slurm::{FOLDER, JOBS};

/// How many tasks of the submissions under `named` (`results/<name>`) wait, run or are queued again, in words; none where
/// there are none, or where no Slurm answers.
pub fn queued(named: &Path) -> Option<String> {
    let mut jobs = HashSet::new();
    for submission in fs::read_dir(named.join(FOLDER)).ok()?.flatten() {
        let numbers = fs::read_to_string(submission.path().join(JOBS)).unwrap_or_default();
        jobs.extend(numbers.lines().map(str::to_owned));
    }
    if jobs.is_empty() {
        return None;
    }
    // A task a line, of all jobs of this user: Slurm takes the number of a job that has ended for an error.
    let mut squeue = Command::new("squeue");
    squeue.args(["--me", "--noheader", "--array", "--format=%F %T"]);
    let answer = squeue
        .output()
        .ok()
        .filter(|answer| answer.status.success())?;
    counted(&String::from_utf8_lossy(&answer.stdout), &jobs)
}

fn counted(lines: &str, jobs: &HashSet<String>) -> Option<String> {
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.lines() {
        if let Some((job, state)) = line.trim().split_once(' ')
            && jobs.contains(job)
        {
            *states.entry(state.to_lowercase()).or_default() += 1;
        }
    }
    let words: Vec<String> = states.iter().map(|(s, n)| format!("{n} {s}")).collect();
    (!words.is_empty()).then(|| format!("tasks in Slurm's queue: {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_other_jobs_are_not_counted() {
        let jobs = HashSet::from(["17".to_owned(), "21".to_owned()]);
        let lines = "17 PENDING\n17 RUNNING\n  21 PENDING\n5 RUNNING\nnonsense\n";
        let found = counted(lines, &jobs);
        assert_eq!(
            found.as_deref(),
            Some("tasks in Slurm's queue: 2 pending, 1 running")
        );
        assert_eq!(counted("5 RUNNING\n", &jobs), None);
    }
}
