//! What follows the last step of an epoch: rows, evaluation, checkpoint.

use super::{RunningMetrics, State, Training};
use crate::Result;
use crate::run::{Best, Interval};
use crate::stage::evaluation::{Event, Measured, Tally};

/// The images that a network is judged on, the one that chooses the best epoch first.
#[derive(Clone, Copy)]
enum Split {
    Validation,
    Test,
}

impl Split {
    /// The name in `metrics.csv`.
    fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl Training<'_> {
    /// Rows of the epoch, its evaluation, its checkpoint.
    pub(super) fn end_epoch(&mut self) -> Result<()> {
        // The rate of the epoch's last step: schedules that move within an epoch are read at its end.
        let rate = self.learning_rate(self.steps_per_epoch() - 1);
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
        self.watch(done as u64, &mut line)?;
        let ended = done == self.epochs || self.state.watched.restored;
        let mut score = None;
        let every = self.task.evaluate.every;
        if done.is_multiple_of(every) || ended {
            for split in [Split::Validation, Split::Test] {
                let judged = self.judge(split, done as u64, &mut line)?;
                score = score.or(judged);
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
            watched: std::mem::take(&mut self.state.watched).next(),
            ..State::default()
        };
        self.keep_for_guard()?;
        self.running = RunningMetrics::new(&self.state.sums, self.ctx.device)?;
        let due = match self.task.checkpoint.every {
            Interval::Epochs(every) => (done as u64).is_multiple_of(every),
            _ => false,
        };
        if let Some(score) = score {
            self.best = Best::of(self.best, self.stamp(), score);
        }
        if due || ended || score.is_some() {
            self.save()?;
        }
        Ok(())
    }

    /// Measures a set of images, where there is one, after epoch `done`. Words for the line of the epoch go to `line`. Returns
    /// the accuracy that decides which epoch is the best.
    fn judge(&mut self, split: Split, done: u64, line: &mut Vec<String>) -> Result<Option<f64>> {
        let state = &mut self.state;
        let (evaluation, measured) = match split {
            Split::Validation => (self.validation.as_ref(), &mut state.validated),
            Split::Test => (Some(&self.evaluation), &mut state.measured),
        };
        let Some(evaluation) = evaluation else {
            return Ok(None);
        };
        let heard = |_: Event<'_>, _: &Measured| Ok(());
        let tallies = evaluation.run(self.ctx, &self.network, done, measured, heard)?;
        let tallies = tallies
            .into_iter()
            .map(|(name, tally)| (name.to_owned(), tally));
        let mut score = None;
        for (attack, tally) in tallies.collect::<Vec<_>>() {
            self.record(split.name(), &attack, &tally, None)?;
            line.push(accuracy(split.name(), &attack, &tally));
            // Attacks are listed from the weakest to the one that matters: the best model withstands the last.
            score = Some(tally.accuracy());
        }
        Ok(score)
    }

    /// Writes a row of `metrics.csv` and keeps the best accuracy of its kind.
    pub(super) fn record(
        &mut self,
        split: &str,
        attack: &str,
        tally: &Tally,
        lr: Option<f64>,
    ) -> Result<()> {
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
