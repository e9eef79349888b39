//! What an unfinished stage has done so far, kept for tasks that have no checkpoints of their own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::{Serialize, de::DeserializeOwned};

use super::checkpoint::Checkpoint;
use super::retention::Stamp;
use super::store::CheckpointStore;
use crate::error::{Error, Result};
use crate::weights::Tensors;

/// The shortest time between two writes.
const INTERVAL: Duration = Duration::from_secs(5);
/// How many times longer than it takes to write there is between two writes.
const TIMES: u32 = 20;

/// The work of an unfinished stage on disk, replaced as a whole now and then.
#[derive(Debug)]
pub struct Interim {
    folder: PathBuf,
    store: CheckpointStore,
    /// Writes so far, those of earlier processes included.
    writes: u64,
    written: Instant,
    /// How long the last write took.
    took: Duration,
    /// Whether there is something that was not written.
    changed: bool,
}

impl Interim {
    /// The work in `folder`, which is made by the first write, and what stands there.
    ///
    /// # Errors
    /// What stands there cannot be read as an `S`.
    pub fn open<S: DeserializeOwned>(
        folder: impl Into<PathBuf>,
    ) -> Result<(Self, Option<(Tensors, S)>)> {
        let folder = folder.into();
        let mut interim = Self {
            store: CheckpointStore::new(&folder, 1),
            folder,
            writes: 0,
            written: Instant::now(),
            took: Duration::ZERO,
            changed: false,
        };
        let found = interim.store.resume(&Device::Cpu, |checkpoint| {
            let state: S = serde_json::from_value(checkpoint.state.clone())
                .map_err(|e| interim.strange(&e))?;
            Ok((checkpoint.stamp.step, checkpoint.tensors.clone(), state))
        })?;
        let Some((writes, tensors, state)) = found else {
            return Ok((interim, None));
        };
        interim.writes = writes;
        Ok((interim, Some((tensors, state))))
    }

    /// The error for work that does not belong to the stage.
    pub fn strange(&self, why: &dyn std::fmt::Display) -> Error {
        Error::failed(format!(
            "{}: the work of an earlier start does not belong to this stage ({why}); remove the folder to begin the stage \
             again",
            self.folder.display()
        ))
    }

    /// Something was done; `work` gives all that was, and is asked where it is time to write.
    pub fn done<S: Serialize>(
        &mut self,
        work: impl FnOnce() -> Result<(Tensors, S)>,
    ) -> Result<()> {
        self.changed = true;
        if self.written.elapsed() < INTERVAL.max(self.took * TIMES) {
            return Ok(());
        }
        self.write(work)
    }

    /// Passes on how the stage ended; where the user interrupted it, what was done is written first.
    pub fn ended<T, S: Serialize>(
        &mut self,
        outcome: Result<T>,
        work: impl FnOnce() -> Result<(Tensors, S)>,
    ) -> Result<T> {
        if matches!(outcome, Err(Error::Interrupted)) && self.changed {
            self.write(work)?;
        }
        outcome
    }

    fn write<S: Serialize>(&mut self, work: impl FnOnce() -> Result<(Tensors, S)>) -> Result<()> {
        let begun = Instant::now();
        let (tensors, state) = work()?;
        let writes = self.writes + 1;
        let state = serde_json::to_value(state)
            .map_err(|e| Error::failed(format!("cannot describe the stage's work: {e}")))?;
        // Of work without epochs the number of the write is all that orders it.
        self.store.save(&Checkpoint {
            stamp: Stamp {
                step: writes,
                epoch: 0,
            },
            best: None,
            tensors,
            state,
        })?;
        self.writes = writes;
        self.changed = false;
        self.written = Instant::now();
        self.took = begun.elapsed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Tensor;

    fn work(count: u32) -> Result<(Tensors, u32)> {
        let tensor = Tensor::new(&[count], &Device::Cpu)?;
        Ok((Tensors::from([("count".to_owned(), tensor)]), count))
    }

    #[test]
    fn an_interruption_writes_what_is_new_and_the_next_start_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress");
        for count in 1..3 {
            let (mut interim, found) = Interim::open::<u32>(&path).unwrap();
            let found = found.map(|(tensors, count)| {
                assert_eq!(tensors["count"].to_vec1::<u32>().unwrap(), [count]);
                count
            });
            assert_eq!(found, (count > 1).then_some(count - 1));
            let nothing = || -> Result<(Tensors, u32)> { panic!("nothing is new") };
            let outcome: Result<()> = interim.ended(Err(Error::Interrupted), nothing);
            assert!(matches!(outcome, Err(Error::Interrupted)));
            interim.done(nothing).unwrap();
            let outcome: Result<()> = interim.ended(Err(Error::Interrupted), || work(count));
            assert!(matches!(outcome, Err(Error::Interrupted)));
            let files = std::fs::read_dir(&path).unwrap();
            let files = files.filter(|file| {
                let name = file.as_ref().unwrap().file_name();
                name.to_string_lossy().ends_with(".safetensors")
            });
            assert_eq!(files.count(), 1);
        }
        let message = Interim::open::<String>(&path).unwrap_err().to_string();
        assert!(
            message.contains("progress: the work of an earlier"),
            "{message}"
        );
    }

    #[test]
    fn time_writes_too() {
        let folder = tempfile::tempdir().unwrap();
        let (mut interim, _) = Interim::open::<u32>(folder.path()).unwrap();
        interim.written -= INTERVAL;
        interim.done(|| work(7)).unwrap();
        interim.done(|| work(8)).unwrap();
        let (_, found) = Interim::open::<u32>(folder.path()).unwrap();
        assert_eq!(found.unwrap().1, 7);
    }
}
