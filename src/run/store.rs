//! The folder of a stage's checkpoints.
//!
//! `last` and `best` are small text files that hold the name of a checkpoint's file. A checkpoint is written first,
//! the pointers after it, superfluous ones are removed last, so `last` always names a whole file.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::checkpoint::{Checkpoint, read_score};
use super::retention::{Stamp, superfluous};
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

    /// Saves a checkpoint taken after `epoch` epochs and `step` steps, and removes the ones that are superfluous
    /// now. `score`: how good it is, larger is better; the first of equals counts as the best.
    pub fn save(
        &self,
        checkpoint: &Checkpoint,
        epoch: u64,
        step: u64,
        score: Option<f64>,
    ) -> Result<PathBuf> {
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let stamp = Stamp { step, epoch };
        let path = self.folder.join(stamp.file_name());
        checkpoint.save(&path, stamp, score)?;
        let mut best = self.pointed(BEST);
        if let Some(score) = score.filter(|score| score.is_finite()) {
            let beaten = match best.filter(|&best| best != stamp) {
                Some(best) => {
                    read_score(&self.folder.join(best.file_name())).is_none_or(|old| score > old)
                }
                None => true,
            };
            if beaten {
                self.point(BEST, stamp)?;
                best = Some(stamp);
            }
        }
        self.point(LAST, stamp)?;
        for stamp in superfluous(&self.stamps()?, self.keep, best) {
            let path = self.folder.join(stamp.file_name());
            // A file that cannot be removed costs space, not results.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("{}: cannot remove: {error}", path.display());
            }
        }
        Ok(path)
    }

    /// The newest whole checkpoint, its tensors on `device`; `None` if there is none at all. A damaged one gives a
    /// warning and the one before it; with no whole one left it is an error that names the file.
    pub fn last(&self, device: &Device) -> Result<Option<Checkpoint>> {
        let mut candidates = self.stamps()?;
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(last) = self.pointed(LAST).filter(|last| candidates.contains(last)) {
            candidates.retain(|&stamp| stamp <= last);
        }
        let mut first_error = None;
        for stamp in candidates {
            match self.load(stamp, device) {
                Ok(checkpoint) => {
                    if let Some(error) = first_error {
                        tracing::warn!("{error}; going on from {} instead", stamp.file_name());
                    }
                    return Ok(Some(checkpoint));
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            None => Ok(None),
            Some(error) => Err(Error::failed(format!(
                "{error}; no older checkpoint is left: remove the file to begin again, or start with --fresh"
            ))),
        }
    }

    /// The best checkpoint, its tensors on `device`; `None` if none had a score.
    pub fn best(&self, device: &Device) -> Result<Option<Checkpoint>> {
        self.pointed(BEST)
            .map(|stamp| self.load(stamp, device))
            .transpose()
    }

    fn load(&self, stamp: Stamp, device: &Device) -> Result<Checkpoint> {
        let path = self.folder.join(stamp.file_name());
        Checkpoint::load(&path, device).map(|(checkpoint, _)| checkpoint)
    }

    fn point(&self, pointer: &str, stamp: Stamp) -> Result<()> {
        let text = stamp.file_name() + "\n";
        atomic::write(&self.folder.join(pointer), text.as_bytes())
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
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut stamps = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        stamps.extend(name.to_str().and_then(Stamp::parse));
    }
    Ok(stamps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Tensors;
    use candle_core::Tensor;
    use serde_json::json;

    fn checkpoint(step: u64) -> Checkpoint {
        let weight = Tensor::new(&[step as f32], &Device::Cpu).unwrap();
        Checkpoint {
            tensors: Tensors::from([("weight".to_owned(), weight)]),
            state: json!({ "step": step }),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn store_with(scores: &[Option<f64>]) -> (tempfile::TempDir, CheckpointStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(folder.path().join("checkpoints"), 2);
        for (epoch, &score) in (1..).zip(scores) {
            store
                .save(&checkpoint(epoch * 10), epoch, epoch * 10, score)
                .unwrap();
        }
        (folder, store)
    }

    fn step(checkpoint: Option<Checkpoint>) -> Option<u64> {
        checkpoint.map(|checkpoint| checkpoint.state["step"].as_u64().unwrap())
    }

    #[test]
    fn the_newest_two_and_the_best_stay_and_are_named() {
        let (folder, store) = store_with(&[Some(0.1), Some(0.9), Some(0.9), Some(0.2), None]);
        assert_eq!(
            names(&folder.path().join("checkpoints")),
            [
                "best",
                "e0002-s00000020.safetensors",
                "e0004-s00000040.safetensors",
                "e0005-s00000050.safetensors",
                "last"
            ]
        );
        assert_eq!(step(store.last(&Device::Cpu).unwrap()), Some(50));
        assert_eq!(step(store.best(&Device::Cpu).unwrap()), Some(20));
    }

    #[test]
    fn an_empty_store_has_nothing() {
        let (_folder, store) = store_with(&[]);
        assert!(store.last(&Device::Cpu).unwrap().is_none());
        assert!(store.best(&Device::Cpu).unwrap().is_none());
    }

    #[test]
    fn a_damaged_checkpoint_falls_back_to_an_older_whole_one() {
        let (folder, store) = store_with(&[None, None]);
        let newest = folder
            .path()
            .join("checkpoints/e0002-s00000020.safetensors");
        let bytes = fs::read(&newest).unwrap();
        fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(step(store.last(&Device::Cpu).unwrap()), Some(10));
    }

    #[test]
    fn with_no_whole_checkpoint_left_the_error_names_the_file_and_the_remedy() {
        let (folder, store) = store_with(&[None]);
        let only = folder
            .path()
            .join("checkpoints/e0001-s00000010.safetensors");
        let bytes = fs::read(&only).unwrap();
        fs::write(&only, &bytes[..bytes.len() - 1]).unwrap();
        let message = store.last(&Device::Cpu).unwrap_err().to_string();
        assert!(
            message.contains("e0001-s00000010.safetensors: damaged"),
            "{message}"
        );
        assert!(message.contains("start with --fresh"), "{message}");
    }

    #[test]
    fn saving_a_step_again_replaces_it() {
        let (folder, store) = store_with(&[Some(0.5), Some(0.6)]);
        store.save(&checkpoint(20), 2, 20, Some(0.4)).unwrap();
        assert_eq!(step(store.last(&Device::Cpu).unwrap()), Some(20));
        assert_eq!(names(&folder.path().join("checkpoints")).len(), 4);
    }

    #[test]
    fn a_pointer_to_nothing_is_no_harm() {
        let (folder, store) = store_with(&[None, None]);
        fs::write(folder.path().join("checkpoints/last"), "../../etc/passwd\n").unwrap();
        assert_eq!(step(store.last(&Device::Cpu).unwrap()), Some(20));
    }
}
