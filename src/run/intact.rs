//! Whether a finished run still has the rows that it finished with.

use std::path::{Path, PathBuf};

use super::files;
use super::folder::RunFolder;
use super::metrics::MetricsRow;
use super::record::FinishedStage;
use super::{seal, table};
use crate::error::{Error, Result};

impl RunFolder {
    /// Errors, naming the table, where the tables of this finished run do not hold what they held when its stages
    /// finished.
    pub fn check_tables(&self) -> Result<()> {
        for stage in self.record().stages {
            let folder = stage_folder(self.path(), &stage.folder);
            // A stage that other runs share may have been moved aside by one of them.
            let Some(finished) = FinishedStage::read(&folder, &stage.key)? else {
                continue;
            };
            let mut broken = seal::broken(&folder, &finished.tables)?;
            if broken.is_none() && folder != self.path() {
                broken = lacking(self.path(), &folder)?;
            }
            if let Some(what) = broken {
                return Err(Error::failed(format!(
                    "{what}; remove {}, and the same command restores it, or start again with --fresh",
                    self.path().join(files::RUN).display()
                )));
            }
        }
        Ok(())
    }
}

/// The folder of a stage, by its path as seen from the run's, without a way back in it.
fn stage_folder(run: &Path, seen: &str) -> PathBuf {
    match (seen, seen.strip_prefix("../"), run.parent()) {
        (".", ..) => run.to_owned(),
        (_, Some(below), Some(named)) => named.join(below),
        _ => run.join(seen),
    }
}

/// In words, if rows of a stage with a folder of its own are missing in the run's `metrics.csv`.
fn lacking(run: &Path, stage: &Path) -> Result<Option<String>> {
    let path = run.join(files::METRICS);
    let collected: Vec<MetricsRow> = table::read(&path)?;
    let rows: Vec<MetricsRow> = table::read(&stage.join(files::METRICS))?;
    let stands = |row: &&MetricsRow| collected.iter().any(|other| other.key() == row.key());
    let missing = rows.len() - rows.iter().filter(stands).count();
    Ok((missing > 0).then(|| {
        let (path, stage) = (path.display(), stage.display());
        format!("{path}: lacks {missing} rows of {stage}")
    }))
}
