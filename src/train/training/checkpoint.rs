//! Where a training stands, written to checkpoints and taken up again.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::Tensor;

use super::{Adversary, RunningMetrics, State, Training};
use crate::run::Checkpoint;
use crate::{Error, Result};

/// The tensor of the perturbation that an objective keeps from batch to batch.
const PERTURBATION: &str = "adversary.perturbation";

impl Training<'_> {
    /// Writes a checkpoint.
    pub(super) fn save(&mut self) -> Result<()> {
        self.settle()?;
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
        if let Some(kept) = self.adversary.as_ref().and_then(Adversary::kept) {
            tensors.insert(PERTURBATION.to_owned(), kept);
        }
        // Between epochs they are those of the network.
        if let Some(guard) = self.guard.as_ref().filter(|_| self.state.batch > 0) {
            for (name, tensor) in guard.tensors() {
                tensors.insert(format!("guard.{name}"), tensor.clone());
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
        if let (Some(adversary), Some(kept)) =
            (&self.adversary, checkpoint.tensors.get(PERTURBATION))
        {
            adversary.keep(kept.clone());
        }
        self.state = state;
        self.best = checkpoint.best;
        match self.state.batch {
            0 => self.keep_for_guard()?,
            _ => {
                if let Some(guard) = &mut self.guard {
                    guard.take_up(part("guard."));
                }
            }
        }
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
