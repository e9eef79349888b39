//! Where a training stands, written to checkpoints and taken up again.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::Tensor;

use super::{RunningMetrics, State, Training};
use crate::run::Checkpoint;
use crate::{Error, Result};

impl Training<'_> {
    /// Writes a checkpoint.
    pub(super) fn save(&mut self) -> Result<()> {
        self.settle(self.train.dataset().len().div_ceil(self.batch_size))?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in self.network.state()? {
            tensors.insert(format!("model.{name}"), tensor);
        }
        for (name, tensor) in self.optimizer.state()? {
            tensors.insert(format!("optimizer.{name}"), tensor);
        }
        if let Some(average) = &self.average {
            for (name, tensor) in average.state(&self.network)? {
                tensors.insert(format!("average.{name}"), tensor);
            }
        }
        let mut state = serde_json::to_value(&self.state)
            .map_err(|e| Error::failed(format!("cannot describe the training's state: {e}")))?;
        self.origin.note_in(&mut state);
        let checkpoint = Checkpoint {
            stamp: self.stamp(),
            best: self.best,
            tensors,
            state,
        };
        // As late as can be: what replaced the folder in the meantime is not written into.
        self.ctx.folder.check()?;
        self.store.save(&checkpoint)?;
        self.saved = (self.state.step, Instant::now());
        Ok(())
    }

    /// Takes up the state of a checkpoint, if it is one of this training.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let part = |prefix: &str| -> BTreeMap<String, Tensor> {
            let tensors = checkpoint.tensors.iter();
            tensors
                .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_string(), t.clone())))
                .collect()
        };
        let strange = |e: &dyn std::fmt::Display| {
            let why = e.to_string().replace('\n', "; ");
            Error::failed(format!("does not belong to this spec: {why}"))
        };
        let state: State =
            serde_json::from_value(checkpoint.state.clone()).map_err(|e| strange(&e))?;
        self.network
            .load(&part("model."))
            .map_err(|e| strange(&e))?;
        self.optimizer
            .load_state(&part("optimizer."))
            .map_err(|e| strange(&e))?;
        if let Some(average) = &mut self.average {
            average
                .load_state(&self.network, &part("average."))
                .map_err(|e| strange(&e))?;
        }
        self.state = state;
        self.best = checkpoint.best;
        Ok(())
    }

    /// Begins where the state that was taken up stands.
    pub(super) fn go_on(&mut self) -> Result<()> {
        self.metrics.hold(&self.state.rows)?;
        self.saved = (self.state.step, Instant::now());
        self.running = RunningMetrics::new(&self.state.sums, self.ctx.device)?;
        let State { epoch, batch, .. } = self.state;
        tracing::info!("resuming at epoch {}, batch {}", epoch + 1, batch + 1);
        if epoch < self.epochs {
            self.ctx.progress.line(&format!(
                "resuming at epoch {} of {}, batch {}",
                epoch + 1,
                self.epochs,
                batch + 1
            ));
        }
        Ok(())
    }
}
