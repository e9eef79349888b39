//! The training loop: steps, epochs, evaluations, checkpoints, resume.

mod averages;
mod checkpoint;
mod end_epoch;
mod gap;
mod guard;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use guard::{Guard, Watched};

use super::batch_size::too_large;
use super::{Adversary, Average, EpochSums, RunningMetrics, Step, train_step};
use crate::data::{Augmentation, Batch, DeviceDataset, Loader, Split};
use crate::experiment::{ModelUse, TrainTask};
use crate::models::Origin;
use crate::nn::{BackwardPlan, Coordinates, Network};
use crate::optim::SchedulerKind;
use crate::optim::{self, Optimizer, Position, Schedule};
use crate::run::Interval;
use crate::run::{
    Best, CheckpointStore, Metrics, MetricsRow, MetricsWriter, Stamp, files, interrupt,
};
use crate::stage::assemble;
use crate::stage::context::StageContext;
use crate::stage::evaluation::{Evaluation, Measured};
use crate::{Error, Result};

/// How long steps go on upon a card before their losses are read.
const LOOK: Duration = Duration::from_secs(1);

/// Where a training stands: with the tensors, all that a checkpoint holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The epoch under way, from 0.
    epoch: usize,
    /// Batches of it that are done.
    batch: usize,
    /// Optimizer steps since the beginning.
    step: u64,
    /// Over the epoch so far.
    #[serde(flatten)]
    sums: EpochSums,
    /// Seconds that the epoch has taken so far.
    seconds: f64,
    /// How far the evaluation after the epoch has come.
    #[serde(default)]
    measured: Measured,
    /// The same for that of the averaged weights.
    #[serde(default)]
    measured_average: Measured,
    /// The same on the validation set.
    #[serde(default)]
    validated: Measured,
    /// What the guard has seen.
    #[serde(default)]
    watched: Watched,
    /// Best accuracy so far, by "split/attack".
    best: BTreeMap<String, f64>,
    /// Last metrics, by name.
    last: BTreeMap<String, f64>,
    /// The rows of `metrics.csv` so far.
    rows: Vec<MetricsRow>,
}

/// A training under way.
pub(super) struct Training<'a> {
    ctx: &'a StageContext<'a>,
    task: &'a TrainTask,
    adversary: Option<Adversary>,
    network: Network,
    /// What the weights say of the network.
    origin: Origin,
    plan: BackwardPlan,
    optimizer: Box<dyn Optimizer>,
    average: Option<Average>,
    schedule: Schedule,
    train: DeviceDataset,
    augment: Vec<Augmentation>,
    batch_size: usize,
    epochs: usize,
    evaluation: Evaluation,
    /// The same on the validation set, where there is one.
    validation: Option<Evaluation>,
    guard: Option<Guard>,
    metrics: MetricsWriter,
    store: CheckpointStore,
    /// When the last checkpoint was written.
    saved: (u64, Instant),
    running: RunningMetrics,
    /// When the sums were last read.
    looked: Instant,
    state: State,
    /// The best checkpoint so far.
    best: Option<Best>,
}

/// Trains what the stage describes, from its last checkpoint where there is one.
pub(crate) fn run(ctx: &StageContext<'_>, task: &TrainTask) -> Result<Metrics> {
    Training::new(ctx, task)?.run()
}

impl<'a> Training<'a> {
    /// Puts a training together and takes up the last checkpoint, if there is one.
    fn new(ctx: &'a StageContext<'a>, task: &'a TrainTask) -> Result<Self> {
        let data = &task.data;
        let used = ModelUse::new(&task.model, data, &task.linbp, ctx.seed);
        let (placed, validation) = assemble::training_set(ctx, data)?;
        let train = placed.dataset();
        let test = assemble::dataset(ctx, data, Split::Test)?;
        if train.shape != test.shape || train.classes != test.classes {
            return Err(Error::failed(format!(
                "the training images are {:?} (C, H, W) in {} classes, the test images {:?} in {}: they must agree",
                train.shape,
                train.classes.len(),
                test.shape,
                test.classes.len()
            )));
        }
        let network = assemble::network(ctx, &used, train)?;
        let optimizer = optim::optimizer(&task.optimizer, network.parameters())?;
        let (evaluate, attack) = (&task.evaluate, task.attack.as_ref());
        let adversary = match task.train.objective.attacks() {
            true => Some(assemble::adversary(
                task,
                &used,
                &network,
                train.classes.len(),
            )?),
            false => None,
        };
        let guard = match (&task.train.guard, attack) {
            (Some(guard), Some(attack)) => {
                let held = validation.as_ref().unwrap_or(train);
                Some(Guard::new(ctx, &used, guard, attack, held)?)
            }
            _ => None,
        };
        let judge = |set| Evaluation::new(ctx, &used, evaluate, attack, &network, set);
        let mut training = Self {
            ctx,
            task,
            adversary,
            guard,
            plan: assemble::train_plan(&used, &network)?,
            optimizer,
            average: match &task.train.average {
                Some(spec) => Some(Average::new(spec, &network)?),
                None => None,
            },
            schedule: Schedule::new(&task.scheduler, &task.optimizer)?,
            augment: data.augment.clone(),
            batch_size: data.batch_size,
            epochs: task.train.epochs,
            evaluation: judge(test)?,
            validation: validation.map(judge).transpose()?,
            metrics: ctx.folder.metrics(ctx.device)?,
            store: ctx.folder.checkpoints(task.checkpoint.keep),
            saved: (0, Instant::now()),
            running: RunningMetrics::new(&EpochSums::default(), ctx.device)?,
            looked: Instant::now(),
            state: State::default(),
            best: None,
            origin: assemble::origin(ctx, &used)?,
            network,
            train: placed,
        };
        let store = training.store.clone();
        if store
            .resume(ctx.device, |checkpoint| training.restore(checkpoint))?
            .is_some()
        {
            training.go_on()?;
        }
        Ok(training)
    }

    /// Trains to the end. Interrupted, it writes a checkpoint and returns [`Error::Interrupted`].
    fn run(mut self) -> Result<Metrics> {
        self.ctx.progress.stage(self.ctx.id, self.epochs as u64);
        while !self.has_ended() {
            let outcome = self.epoch().and_then(|()| self.end_epoch());
            if let Err(Error::Interrupted) = outcome {
                self.save()?;
            }
            outcome?;
        }
        // Opened anew by its path: what counts is the file that stands there now.
        let mut metrics = self.ctx.folder.metrics(self.ctx.device)?;
        metrics.end(&self.state.rows)?;
        self.write_average()?;
        let (folder, weights) = (self.ctx.folder, self.network.state()?);
        folder.write_weights(files::FINAL_WEIGHTS, &weights, self.origin.metadata())?;
        self.tell_gap();
        self.ctx.progress.finish();
        Ok(self.state.last)
    }

    /// Whether the last epoch is over, its evaluation too.
    fn has_ended(&self) -> bool {
        let is_cut_short = self.state.watched.restored && self.state.batch == 0;
        self.state.epoch >= self.epochs || is_cut_short
    }

    /// The rest of the epoch under way.
    fn epoch(&mut self) -> Result<()> {
        let (epoch, seed) = (self.state.epoch, self.ctx.seed);
        let loader = Loader::train(
            &self.train,
            self.batch_size,
            &self.augment,
            seed,
            epoch as u64,
            self.state.batch,
        )?;
        let batches = loader.batches();
        self.ctx.progress.epoch(epoch as u64 + 1, batches as u64);
        let earlier = self.state.seconds;
        let begun = Instant::now();
        for batch in loader {
            let batch = batch?;
            interrupt::check()?;
            let loss = self.step(&batch)?;
            self.state.seconds = earlier + begun.elapsed().as_secs_f64();
            let examples = batch.label_values.len() as u64;
            self.ctx
                .progress
                .batch(self.state.batch as u64, loss, examples);
            if self.is_due() {
                self.save()?;
            }
        }
        self.settle()?;
        self.state.seconds = earlier + begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// The updates on a batch. Returns its mean loss at the last of them, or on a card now and then that of the last ones.
    fn step(&mut self, batch: &Batch) -> Result<Option<f64>> {
        let updates = self.task.train.objective.updates();
        let first = self.state.batch * updates;
        let mut loss = None;
        for number in first..first + updates {
            loss = self.update(batch, number)?;
            self.state.step += 1;
        }
        self.state.batch += 1;
        match loss {
            None if self.looked.elapsed() >= LOOK => self.settle(),
            loss => Ok(loss),
        }
    }

    /// The update with this number in the epoch, from 0. Returns the mean loss of the batch where it is known.
    fn update(&mut self, batch: &Batch, number: usize) -> Result<Option<f64>> {
        let rate = self.learning_rate(number);
        let objective = &*self.task.train.objective;
        let at = Coordinates {
            seed: self.ctx.seed,
            epoch: self.state.epoch as u64,
            batch: number as u64,
        };
        let updates = self.steps_per_epoch();
        let train = &self.task.train;
        let step = Step {
            adversary: self.adversary.as_ref(),
            smoothing: train.label_smoothing,
            awp: train.awp.as_ref(),
            ..Step::new(&self.network, &self.plan, batch, at)
        };
        let optimizer = self.optimizer.as_mut();
        let loss = match train_step(objective, &step, optimizer, rate, &mut self.running) {
            Err(Error::NoMemory(why)) => return Err(too_large(&why, objective, &step, optimizer)),
            loss => loss?,
        };
        if let Some(loss) = loss.filter(|loss| !loss.is_finite()) {
            return Err(self.not_finite(&loss.to_string(), number as u64));
        }
        if let Some(average) = &mut self.average {
            let ends_epoch = number + 1 == updates;
            average.step(&self.network, self.state.epoch, ends_epoch)?;
        }
        Ok(loss)
    }

    /// Brings the sums up to date, which on a card waits for the steps that were started; the mean loss of the last ones.
    /// A loss that was not finite is an error here, so before any checkpoint: what trained on meanwhile is never saved.
    fn settle(&mut self) -> Result<Option<f64>> {
        let (sums, bad) = self.running.read()?;
        self.looked = Instant::now();
        if let Some(number) = bad {
            return Err(self.not_finite("not finite", number));
        }
        let before = std::mem::replace(&mut self.state.sums, sums).all;
        let now = &self.state.sums.all;
        let (loss, examples) = (now.loss - before.loss, now.examples - before.examples);
        Ok((examples > 0).then(|| loss / examples as f64))
    }

    /// The error for an update of the epoch whose loss is no number to go on from.
    fn not_finite(&self, loss: &str, number: u64) -> Error {
        let steps = self.steps_per_epoch();
        let rate = match self.task.scheduler.kind {
            SchedulerKind::OneCycle => "scheduler.max_lr",
            _ => "optimizer.lr",
        };
        Error::failed(format!(
            "stage {}: the loss is {loss} at epoch {}, step {} ({} of {steps} in the epoch); what followed \
             was not saved. A lower {rate} is the usual remedy",
            self.ctx.id,
            self.state.epoch + 1,
            (self.state.epoch * steps) as u64 + number + 1,
            number + 1,
        ))
    }

    /// Updates in an epoch.
    fn steps_per_epoch(&self) -> usize {
        let batches = self.train.dataset().len().div_ceil(self.batch_size);
        batches * self.task.train.objective.updates()
    }

    /// The rate of the update with this number in the epoch under way.
    fn learning_rate(&self, number: usize) -> f64 {
        self.schedule.learning_rate(Position {
            epoch: self.state.epoch,
            step: number,
            steps_per_epoch: self.steps_per_epoch(),
            epochs: self.epochs,
        })
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            step: self.state.step,
            epoch: self.state.epoch as u64,
        }
    }

    /// Whether a checkpoint is due within an epoch.
    fn is_due(&self) -> bool {
        match self.task.checkpoint.every {
            Interval::Epochs(_) => false,
            Interval::Steps(steps) => self.state.step - self.saved.0 >= steps,
            Interval::Minutes(minutes) => {
                self.saved.1.elapsed() >= Duration::from_secs(60 * minutes)
            }
        }
    }
}
