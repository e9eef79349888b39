//! The averaged weights of a training: measured beside the weights themselves, written at the end.

use super::Training;
use crate::Result;
use crate::data::Loader;
use crate::nn::Coordinates;
use crate::run::{files, interrupt};
use crate::stage::evaluation::{Event, Measured, Tally};

/// The name of averaged weights, and what was counted under each attack.
pub(super) type Answers = (&'static str, Vec<(String, Tally)>);

impl Training<'_> {
    /// What the averaged weights answer after the epoch under way, where there are any.
    pub(super) fn evaluate_average(&mut self) -> Result<Option<Answers>> {
        let Some(average) = self.average.as_mut().filter(|average| average.has_begun()) else {
            return Ok(None);
        };
        let (ctx, network, epoch) = (self.ctx, &self.network, self.state.epoch as u64);
        let kind = average.kind().name();
        if average.measures_statistics() && !network.buffers().is_empty() {
            let (size, augment) = (self.batch_size, &self.augment);
            let loader = Loader::train(&self.train, size, augment, ctx.seed, epoch, 0)?;
            let phase = format!("measuring the batch norms of {kind}");
            ctx.progress.phase(&phase, loader.batches() as u64, 0);
            let images = (1..).zip(loader).map(|(number, batch)| {
                interrupt::check()?;
                let batch = batch?;
                ctx.progress
                    .batch(number, None, batch.label_values.len() as u64);
                Ok(batch.images)
            });
            let at = Coordinates {
                seed: ctx.seed,
                epoch,
                batch: 0,
            };
            average.measure_statistics(network, at, images)?;
        }
        let (evaluation, measured) = (&self.evaluation, &mut self.state.measured_average);
        let heard = |_: Event<'_>, _: &Measured| Ok(());
        let tallies = average.within(network, || {
            evaluation.run(ctx, network, epoch + 1, measured, heard)
        })?;
        let tallies = tallies.into_iter();
        let tallies = tallies.map(|(attack, tally)| (attack.to_owned(), tally));
        Ok(Some((kind, tallies.collect())))
    }

    /// Writes the averaged weights of a training that has ended.
    pub(super) fn write_average(&self) -> Result<()> {
        let Some(average) = &self.average else {
            return Ok(());
        };
        let file = files::average_weights(average.kind().name());
        let tensors = average.tensors(&self.network)?;
        self.ctx
            .folder
            .write_weights(&file, &tensors, self.origin.metadata())
    }
}
