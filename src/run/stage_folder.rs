//! The folder of a stage: the run's own in a spec of one task, otherwise one that runs of a name share.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::de::DeserializeOwned;

use super::examples::ExampleRow;
use super::files::{self, FORMAT_VERSION};
use super::folder::RunFolder;
use super::interim::Interim;
use super::layer_search::LayerSearchRow;
use super::lock::Lock;
use super::metrics::MetricsWriter;
use super::presence::Presence;
use super::provenance::Code;
use super::record::{FinishedStage, Metrics, RunState, finite, to_json};
use super::seal;
use super::simulation::SimulationWriter;
use super::store::CheckpointStore;
use super::transfer::TransferRow;
use super::transfer_models::TransferModelRow;
use super::{clock, table};
use crate::atomic;
use crate::error::{Error, Result};
use crate::weights::{Tensors, save_safetensors};

/// A stage's folder, owned by this process until dropped: paths and writers of what the stage leaves.
#[derive(Debug)]
pub struct StageFolder {
    path: PathBuf,
    presence: Presence,
    /// `None` where the run's lock covers it.
    _lock: Option<Lock>,
}

impl StageFolder {
    /// The run's own folder, for a spec of one task.
    pub fn of_run(run: &RunFolder) -> Result<Self> {
        Self::opened(run.path().to_owned(), None)
    }

    /// Where the stage `id` with `key` stands under the folder of an experiment's name.
    pub fn shared_path(named: &Path, id: &str, key: &str) -> PathBuf {
        let short: String = key.chars().take(8).collect();
        named
            .join(files::SHARED_STAGES)
            .join(format!("{id}-{short}"))
    }

    /// The folder that all runs under `named` (`results/<name>`) share for the stage `id` with `key`. Where another
    /// run works on it, `waiting` is called with the owner and this call waits.
    pub fn shared(named: &Path, id: &str, key: &str, waiting: impl FnOnce(&str)) -> Result<Self> {
        let path = Self::shared_path(named, id, key);
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        let lock = Lock::wait(&path, waiting)?;
        Self::opened(path, Some(lock))
    }

    fn opened(path: PathBuf, lock: Option<Lock>) -> Result<Self> {
        atomic::clean(&path)?;
        atomic::clean(&path.join(files::CHECKPOINTS))?;
        atomic::clean(&path.join(files::PROGRESS))?;
        Ok(Self {
            presence: Presence::of(&path)?,
            path,
            _lock: lock,
        })
    }

    /// An error if the folder was removed, moved or replaced since it was opened.
    pub fn check(&self) -> Result<()> {
        self.presence.check()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of the files named in [`files`].
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `metrics.csv`, open for appending. `device`: where the numbers are computed; on the CPU they are the same
    /// bit for bit when they are computed again, elsewhere they need not be.
    pub fn metrics(&self, device: &Device) -> Result<MetricsWriter> {
        self.check()?;
        MetricsWriter::open(&self.file(files::METRICS), device.is_cpu())
    }

    /// `simulation.csv`, open for appending repeats that record `steps`.
    pub fn simulation(&self, steps: &[u64]) -> Result<SimulationWriter> {
        SimulationWriter::open(&self.file(files::SIMULATION), steps)
    }

    /// Writes `examples.csv` as a whole.
    pub fn write_examples(&self, rows: &[ExampleRow]) -> Result<()> {
        self.check()?;
        table::write(&self.file(files::EXAMPLES), rows)
    }

    /// Writes `transfer.csv` as a whole.
    pub fn write_transfer(&self, rows: &[TransferRow]) -> Result<()> {
        self.check()?;
        table::write(&self.file(files::TRANSFER), rows)
    }

    /// Writes `transfer_models.csv` as a whole.
    pub fn write_transfer_models(&self, rows: &[TransferModelRow]) -> Result<()> {
        self.check()?;
        table::write(&self.file(files::TRANSFER_MODELS), rows)
    }

    /// Writes `layer_search.csv` as a whole.
    pub fn write_layer_search(&self, rows: &[LayerSearchRow]) -> Result<()> {
        self.check()?;
        table::write(&self.file(files::LAYER_SEARCH), rows)
    }

    /// The checkpoints, of which `keep` newest ones and the best one stay.
    pub fn checkpoints(&self, keep: usize) -> CheckpointStore {
        CheckpointStore::new(self.file(files::CHECKPOINTS), keep)
    }

    /// What the unfinished stage has done so far, for tasks without checkpoints.
    pub fn interim<S: DeserializeOwned>(&self) -> Result<(Interim, Option<(Tensors, S)>)> {
        Interim::open(self.file(files::PROGRESS))
    }

    /// Writes weights of a finished training, under torch's names, and what they say of their network, to one of the files
    /// for them that [`files`] names.
    pub fn write_weights(
        &self,
        name: &str,
        weights: &Tensors,
        metadata: HashMap<String, String>,
    ) -> Result<()> {
        self.check()?;
        let folder = self.file(files::CHECKPOINTS);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        save_safetensors(&folder.join(name), weights, metadata)
    }

    /// Writes tensors to one of the files named in [`files`].
    pub fn write_tensors(&self, name: &str, tensors: &Tensors) -> Result<()> {
        self.check()?;
        save_safetensors(&self.file(name), tensors, HashMap::new())
    }

    /// What `stage.json` says, if the stage with `key` is finished here. A stage whose tables do not hold any more what
    /// they held when it finished is not, with a warning: to run it again restores what its checkpoint knows and computes
    /// the rest.
    pub fn finished(&self, key: &str) -> Result<Option<FinishedStage>> {
        let Some(stage) = FinishedStage::read(&self.path, key)? else {
            return Ok(None);
        };
        let broken = seal::broken(&self.path, &stage.tables)?;
        if let Some(what) = &broken {
            tracing::warn!("{what}; the stage runs again from its last checkpoint, if it has one");
            return Ok(None);
        }
        self.forget_progress();
        Ok(Some(stage))
    }

    /// Records that the stage is finished. Call last: everything else it leaves must stand.
    pub fn finish(&self, key: &str, metrics: Metrics) -> Result<()> {
        self.check()?;
        let record = FinishedStage {
            format_version: FORMAT_VERSION,
            key: key.to_owned(),
            code: Some(Code::current()),
            state: RunState::Finished,
            ended: clock::now(),
            metrics: finite(metrics),
            tables: seal::seal(&self.path)?,
        };
        let path = self.file(files::STAGE);
        atomic::write(&path, &to_json(&path, &record)?)?;
        self.forget_progress();
        Ok(())
    }

    /// Removes what an unfinished stage had done: the results stand.
    fn forget_progress(&self) {
        let path = self.file(files::PROGRESS);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                // A folder that cannot be removed costs space, not results.
                tracing::warn!("{}: cannot remove: {error}", path.display());
            }
            _ => {}
        }
    }
}

/// In the folder of a finished training: the weights that it ended with.
pub fn final_weights(stage: &Path) -> PathBuf {
    stage.join(files::CHECKPOINTS).join(files::FINAL_WEIGHTS)
}

/// In the folder of a finished training: its average of this kind.
pub fn average_weights(stage: &Path, kind: &str) -> PathBuf {
    stage
        .join(files::CHECKPOINTS)
        .join(files::average_weights(kind))
}

/// In the folder of a finished attack: its images.
pub fn adversarial_images(stage: &Path) -> PathBuf {
    stage.join(files::ADVERSARIAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::load_safetensors;
    use candle_core::Tensor;

    #[test]
    fn a_finished_stage_is_known_by_its_key() {
        let named = tempfile::tempdir().unwrap();
        let key = "0123456789abcdef";
        let stage = StageFolder::shared(named.path(), "craft", key, |_| ()).unwrap();
        assert!(stage.path().ends_with("stages/craft-01234567"));
        assert!(stage.finished(key).unwrap().is_none());
        let metrics = Metrics::from([("accuracy".to_owned(), 0.25)]);
        let progress = stage.file(files::PROGRESS);
        fs::create_dir(&progress).unwrap();
        stage.finish(key, metrics.clone()).unwrap();
        assert!(!progress.exists());
        assert_eq!(stage.finished(key).unwrap().unwrap().metrics, metrics);
        assert!(stage.finished("0123456789abcdee").unwrap().is_none());
    }

    #[test]
    fn a_second_run_waits_for_the_first() {
        let named = tempfile::tempdir().unwrap();
        let first = StageFolder::shared(named.path(), "a", "k", |_| panic!("nothing to wait for"));
        let first = first.unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut waited = false;
                let stage = StageFolder::shared(named.path(), "a", "k", |_| waited = true).unwrap();
                (waited, stage.finished("k").unwrap().is_some())
            });
            std::thread::sleep(std::time::Duration::from_millis(50));
            first.finish("k", Metrics::new()).unwrap();
            drop(first);
            assert_eq!(second.join().unwrap(), (true, true));
        });
    }

    #[test]
    fn final_weights_are_where_other_stages_look() {
        let named = tempfile::tempdir().unwrap();
        let stage = StageFolder::shared(named.path(), "a", "k", |_| ()).unwrap();
        let weight = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        stage
            .write_weights(
                files::FINAL_WEIGHTS,
                &Tensors::from([("fc.weight".to_owned(), weight)]),
                HashMap::new(),
            )
            .unwrap();
        let (read, _) = load_safetensors(&final_weights(stage.path()), &Device::Cpu).unwrap();
        assert_eq!(read["fc.weight"].to_vec1::<f32>().unwrap(), [1.0]);
    }
}
