//! The folder of a stage's checkpoints.
//!
//! Each checkpoint says which one was the best when it was taken, so the newest whole one is all that a training needs to
//! know. `last` and `best` are small text files that hold the name of a checkpoint's file. They follow from the newest
//! whole checkpoint: written after it, and again when the store is taken up.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::checkpoint::{Checkpoint, read_best};
use super::retention::{Best, Stamp, superfluous};
use crate::atomic;
use crate::error::{Error, Result};

pub(super) const LAST: &str = "last";
pub(super) const BEST: &str = "best";

/// The checkpoints of one stage.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    keep: usize,
}

impl CheckpointStore {
    /// The store in `folder`, which is made when the first checkpoint is saved. `keep`: how many of the newest
    /// checkpoints stay (at least one); the best one stays besides.
    pub fn new(folder: impl Into<PathBuf>, keep: usize) -> Self {
        Self {
            folder: folder.into(),
            keep,
        }
    }

    /// Saves a checkpoint and removes the ones that are superfluous now.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.path(checkpoint.stamp);
        // This folder alone: one above it that is gone was removed while the run went on.
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(atomic::no_folder(&path));
            }
            made => made.map_err(Error::io("create", &self.folder))?,
        }
        checkpoint.save(&path)?;
        self.settle(checkpoint.stamp, checkpoint.best)?;
        Ok(path)
    }

    /// Takes up the newest checkpoint that is whole and that `take` accepts, its tensors on `device`; `None` if there is
    /// no checkpoint at all. Each newer one that is passed over gives a warning that names it; with none left it is an
    /// error that does.
    pub fn resume<T>(
        &self,
        device: &Device,
        mut take: impl FnMut(&Checkpoint) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut candidates = self.stamps()?;
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        let mut refused = Vec::new();
        for stamp in candidates {
            let path = self.path(stamp);
            let taken = Checkpoint::load(&path, device).and_then(|checkpoint| {
                let named = |why: String| Error::failed(format!("{}: {why}", path.display()));
                if checkpoint.stamp != stamp {
                    return Err(named(format!(
                        "holds the checkpoint {}",
                        checkpoint.stamp.file_name()
                    )));
                }
                match take(&checkpoint) {
                    Ok(taken) => Ok((taken, checkpoint.best)),
                    Err(Error::Failed(why)) => Err(named(why)),
                    Err(error) => Err(error),
                }
            });
            match taken {
                Ok((taken, best)) => {
                    for why in refused {
                        tracing::warn!("{why}; going on from {} instead", stamp.file_name());
                    }
                    self.settle(stamp, best)?;
                    return Ok(Some(taken));
                }
                Err(error @ (Error::Failed(_) | Error::Io { .. })) => {
                    refused.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        match refused.into_iter().next() {
            None => Ok(None),
            Some(why) => Err(Error::failed(format!(
                "{why}; no older checkpoint is left: remove the file to begin again, or start with --fresh"
            ))),
        }
    }

    /// Whether there is no checkpoint.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.stamps()?.is_empty())
    }

    /// Copies the checkpoints in `folder` here, the oldest first: wherever that ends, what is here is whole.
    pub fn take_from(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let mut stamps = stamps(folder)?;
        stamps.sort_unstable();
        for stamp in stamps {
            let from = folder.join(stamp.file_name());
            atomic::replace(&self.path(stamp), |path| {
                fs::copy(&from, path)
                    .map(drop)
                    .map_err(Error::io("copy", &from))
            })?;
        }
        Ok(())
    }

    /// The best checkpoint, its tensors on `device`; `None` if none had a score.
    pub fn best(&self, device: &Device) -> Result<Option<Checkpoint>> {
        let path = self.pointed(BEST).map(|stamp| self.path(stamp));
        path.map(|path| Checkpoint::load(&path, device)).transpose()
    }

    /// Brings pointers and files to what the newest whole checkpoint says. Files newer than that one were passed over;
    /// they stay until the training comes by them again.
    fn settle(&self, newest: Stamp, best: Option<Best>) -> Result<()> {
        self.point(BEST, best.map(|best| best.stamp))?;
        self.point(LAST, Some(newest))?;
        let mut stamps = self.stamps()?;
        stamps.retain(|&stamp| stamp <= newest);
        let best_of = |stamp| Some(read_best(&self.path(stamp))?.stamp);
        for stamp in superfluous(&stamps, self.keep, best_of) {
            let path = self.path(stamp);
            // A file that cannot be removed costs space, not results.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("{}: cannot remove: {error}", path.display());
            }
        }
        Ok(())
    }

    fn path(&self, stamp: Stamp) -> PathBuf {
        self.folder.join(stamp.file_name())
    }

    /// Has a pointer name a checkpoint, or none.
    fn point(&self, pointer: &str, stamp: Option<Stamp>) -> Result<()> {
        let path = self.folder.join(pointer);
        let Some(stamp) = stamp else {
            return Error::if_there("remove", &path, fs::remove_file(&path)).map(drop);
        };
        let text = stamp.file_name() + "\n";
        if fs::read(&path).is_ok_and(|standing| standing == text.as_bytes()) {
            return Ok(());
        }
        atomic::write(&path, text.as_bytes())
    }

    /// The stamp that a pointer file names, if there is such a file and it names a checkpoint.
    fn pointed(&self, pointer: &str) -> Option<Stamp> {
        let text = fs::read_to_string(self.folder.join(pointer)).ok()?;
        Stamp::parse(text.trim())
    }

    fn stamps(&self) -> Result<Vec<Stamp>> {
        stamps(&self.folder)
    }
}

/// The stamps of all checkpoints in `folder`.
fn stamps(folder: &Path) -> Result<Vec<Stamp>> {
    let entries = Error::if_there("read", folder, fs::read_dir(folder))?;
    let mut stamps = Vec::new();
    for entry in entries.into_iter().flatten() {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        stamps.extend(name.to_str().and_then(Stamp::parse));
    }
    Ok(stamps)
}

#[cfg(test)]
mod tests;
