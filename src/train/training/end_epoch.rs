//! What follows the last step of an epoch: rows, evaluation, checkpoint.

use super::{RunningMetrics, State, Training};
use crate::Result;
use crate::optim::Position;
use crate::run::{Best, Interval};
use crate::stage::evaluation::{Event, Measured, Tally};

impl Training<'_> {
    /// Rows of the epoch, its evaluation, its checkpoint.
    pub(super) fn end_epoch(&mut self) -> Result<()> {
        let batches = self.train.dataset().len().div_ceil(self.batch_size);
        // The rate of the epoch's last step: schedules that move within an epoch are read at its end.
        let last_step = Position {
            epoch: self.state.epoch,
            step: batches - 1,
            steps_per_epoch: batches,
            epochs: self.epochs,
        };
        let rate = self.schedule.learning_rate(last_step);
        let done = self.state.epoch + 1;
        let tally = Tally {
            loss: self.state.sums.all.loss,
            correct: self.state.sums.all.correct,
            examples: self.state.sums.all.examples,
            seconds: self.state.seconds,
        };
        let attack = self.adversary.as_ref().map(|adversary| &adversary.attack);
        let trained_on = attack.map_or("none", |attack| attack.name()).to_owned();
        let parts = self.state.sums.parts.iter();
        let parts = parts.map(|(name, sum)| format!("{name} {:.4}", sum / tally.examples as f64));
        let parts = match parts.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => none,
            parts => format!(" ({parts})"),
        };
        let mut line = vec![format!(
            "epoch {done}/{}  train loss {:.4}{parts} accuracy {:.2} %",
            self.epochs,
            tally.mean_loss(),
            100.0 * tally.accuracy()
        )];
        self.record("train", &trained_on, &tally, Some(rate))?;
        let mut score = None;
        let every = self.task.evaluate.every;
        if done.is_multiple_of(every) || done == self.epochs {
            let (ctx, epoch) = (self.ctx, done as u64);
            let (network, measured) = (&self.network, &mut self.state.measured);
            let heard = |_: Event<'_>, _: &Measured| Ok(());
            let tallies = self.evaluation.run(ctx, network, epoch, measured, heard)?;
            let tallies = tallies
                .into_iter()
                .map(|(name, tally)| (name.to_owned(), tally));
            for (attack, tally) in tallies.collect::<Vec<_>>() {
                self.record("test", &attack, &tally, None)?;
                line.push(accuracy("test", &attack, &tally));
                // Attacks are listed from the weakest to the one that matters: the best model withstands the last.
                score = Some(tally.accuracy());
            }
            if let Some((kind, tallies)) = self.evaluate_average()? {
                for (attack, tally) in tallies {
                    self.record(&format!("test-{kind}"), &attack, &tally, None)?;
                    line.push(accuracy(kind, &attack, &tally));
                }
            }
        }
        self.ctx.progress.line(&line.join(", "));
        self.state = State {
            epoch: done,
            step: self.state.step,
            best: std::mem::take(&mut self.state.best),
            last: std::mem::take(&mut self.state.last),
            rows: std::mem::take(&mut self.state.rows),
            ..State::default()
        };
        self.running = RunningMetrics::new(&self.state.sums, self.ctx.device)?;
        let due = match self.task.checkpoint.every {
            Interval::Epochs(every) => (done as u64).is_multiple_of(every),
            _ => false,
        };
        if let Some(score) = score {
            self.best = Best::of(self.best, self.stamp(), score);
        }
        if due || done == self.epochs || score.is_some() {
            self.save()?;
        }
        Ok(())
    }

    /// Writes a row of `metrics.csv` and keeps the best accuracy of its kind.
    fn record(&mut self, split: &str, attack: &str, tally: &Tally, lr: Option<f64>) -> Result<()> {
        let accuracy = tally.accuracy();
        let best = self
            .state
            .best
            .entry(format!("{split}/{attack}"))
            .or_insert(accuracy);
        *best = best.max(accuracy);
        let mut row = tally.row(self.ctx.id, split, attack);
        row.epoch = self.state.epoch as u64 + 1;
        row.step = self.state.step;
        row.best_accuracy = Some(*best);
        row.lr = lr;
        let row = self.metrics.keep(row)?;
        // An epoch whose evaluation was interrupted has its first rows already.
        if !self.state.rows.contains(&row) {
            self.state.rows.push(row);
        }
        let name = match attack {
            "none" => split.to_string(),
            attack => format!("{split}_{attack}"),
        };
        let last = &mut self.state.last;
        last.insert(format!("{name}_accuracy"), accuracy);
        last.insert(format!("{name}_loss"), tally.mean_loss());
        Ok(())
    }
}

/// The accuracy of a line of an epoch, in words.
fn accuracy(of: &str, attack: &str, tally: &Tally) -> String {
    let under = match attack {
        "none" => String::new(),
        attack => format!(" under {attack}"),
    };
    format!("{of} accuracy{under} {:.2} %", 100.0 * tally.accuracy())
}
