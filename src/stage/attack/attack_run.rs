//! The attacks of a stage on a data set, one after another, which can be left at any time and taken up again.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::super::assemble;
use super::super::context::StageContext;
use super::super::evaluation::Tally;
use super::super::examples::Examples;
use crate::Result;
use crate::attacks::sanity::Warning;
use crate::attacks::{
    Attack, AttackEvaluation, Kept, KeptState, Start, Threat, Victim, predictions, to_8bit,
};
use crate::nn::loss::{Reduction, cross_entropy};
use crate::run::Interim;
use crate::run::throughput::Stopwatch;
use crate::weights::Tensors;

/// Accuracy as the examples stand: as floats, and after rounding to 8 bits. An example that was wrong before counts as
/// wrong, with the loss of its clean image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AfterAttack {
    /// The name of the attack that was the last one.
    pub attack: String,
    pub floats: Tally,
    pub rounded: Tally,
    /// The model's answers to the images rounded to 8 bits.
    pub answers_8bit: Vec<u32>,
    /// How many of the answers to the attacked images are what the attack wants, and how many of those after rounding.
    pub succeeded: [usize; 2],
}

/// How far the stage has come, beside the evaluation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Whether the model was looked at for signs that attacks on it mean little.
    examined: bool,
    /// Without an attack, once every image was looked at.
    pub clean: Option<Tally>,
    /// After each attack that was judged.
    pub after_attacks: Vec<AfterAttack>,
    /// The model's answers to images rounded to 8 bits, and the losses of those, since the last of these.
    rounded: Vec<(u32, f64)>,
    /// The seconds that what is under way has taken.
    seconds: f64,
    /// The images whose logits alone, and whose gradients, it has asked the model for.
    #[serde(default)]
    passes: [u64; 2],
}

/// The attack on a data set, which can be left at any time and taken up again.
pub(super) struct AttackRun<'a> {
    ctx: &'a StageContext<'a>,
    victim: &'a Victim<'a>,
    examples: &'a Examples,
    start: Start,
    batch_size: usize,
    interim: Interim,
    pub evaluation: AttackEvaluation<'a>,
    pub state: State,
    /// Measures what is under way.
    watch: Stopwatch,
    /// What the model was asked in this start before `state.passes` were counted.
    counted: [u64; 2],
}

/// What the stage has done, to be written.
fn work(evaluation: &AttackEvaluation<'_>, state: &State) -> Result<(Tensors, (KeptState, State))> {
    let kept = evaluation.kept()?;
    Ok((kept.tensors, (kept.state, state.clone())))
}

impl<'a> AttackRun<'a> {
    /// An attack run as an earlier start left it, or a new one.
    pub fn new(
        ctx: &'a StageContext<'a>,
        victim: &'a Victim<'a>,
        examples: &'a Examples,
        batch_size: usize,
        attacks: usize,
    ) -> Result<Self> {
        let start = Start {
            seed: ctx.seed,
            ..Start::default()
        };
        let originals = examples.originals(start);
        let (interim, found) = ctx.folder.interim::<(KeptState, State)>()?;
        let (evaluation, state) = match found {
            None => (
                AttackEvaluation::begin(victim, originals, batch_size)?,
                State::default(),
            ),
            Some((tensors, (kept, state))) => {
                if kept.attacks() > attacks || state.after_attacks.len() > kept.attacks() {
                    return Err(interim.strange(&"it has other attacks"));
                }
                let kept = Kept {
                    tensors,
                    state: kept,
                };
                let evaluation = AttackEvaluation::resume(victim, originals, batch_size, &kept);
                ctx.progress.line("goes on where it was left");
                (evaluation.map_err(|error| interim.strange(&error))?, state)
            }
        };
        Ok(Self {
            ctx,
            victim,
            examples,
            start,
            batch_size,
            interim,
            evaluation,
            watch: Stopwatch::start(state.seconds),
            counted: victim.passes.get(),
            state,
        })
    }

    fn count(&mut self) {
        let now = self.victim.passes.get();
        let before = std::mem::replace(&mut self.counted, now);
        for (sum, (now, before)) in self.state.passes.iter_mut().zip(now.iter().zip(before)) {
            *sum += now - before;
        }
    }

    /// Something was done.
    fn done(&mut self) -> Result<()> {
        self.count();
        self.state.seconds = self.watch.seconds();
        let (evaluation, state) = (&self.evaluation, &self.state);
        self.interim.done(|| work(evaluation, state))
    }

    /// What is under way is complete; the next thing begins. Returns the seconds that it took and the passes.
    fn turn_to_next(&mut self) -> (f64, [u64; 2]) {
        self.count();
        let passes = std::mem::take(&mut self.state.passes);
        let seconds = self.watch.seconds();
        self.state.seconds = 0.0;
        self.watch = Stopwatch::start(0.0);
        (seconds, passes)
    }

    /// Does what is left of all that the rows need. Interrupted, it saves what was done.
    pub fn run(&mut self, attacks: &[Box<dyn Attack>]) -> Result<()> {
        let outcome = self.go_on(attacks);
        let (evaluation, state) = (&self.evaluation, &self.state);
        self.interim.ended(outcome, || work(evaluation, state))
    }

    fn go_on(&mut self, attacks: &[Box<dyn Attack>]) -> Result<()> {
        if !self.state.examined {
            let warnings = self
                .examples
                .examine(self.victim, self.start, self.batch_size)?;
            warnings.iter().for_each(Warning::emit);
            self.state.examined = true;
            self.turn_to_next();
        }
        if self.state.clean.is_none() {
            while self.evaluation.look()? {
                self.done()?;
            }
            let mut clean = Tally::default();
            let losses: Vec<f64> = self
                .evaluation
                .fates()
                .iter()
                .map(|fate| fate.loss)
                .collect();
            clean.add(&losses, self.evaluation.correct().len() as u64);
            clean.seconds = self.turn_to_next().0;
            self.state.clean = Some(clean);
        }
        let correct = self.evaluation.right_before()?;
        let threat = assemble::threat(attacks)?;
        for attack in &attacks[self.state.after_attacks.len()..] {
            if self.evaluation.done() <= self.state.after_attacks.len() {
                self.carry_out(attack.as_ref(), &correct)?;
            }
            let mut after = self.judge(&correct, threat)?;
            let (seconds, [forward, gradients]) = self.turn_to_next();
            after.attack = attack.name().to_owned();
            after.floats.seconds = seconds;
            after.rounded.seconds = seconds;
            self.ctx.progress.line(&format!(
                "{}: {} of {} images stand, accuracy {:.2} % ({:.2} % after rounding to 8 bits), {seconds:.1} s, \
                 {gradients} gradients of images and {forward} answers",
                attack.name(),
                after.floats.correct,
                self.examples.labels.len(),
                100.0 * after.floats.accuracy(),
                100.0 * after.rounded.accuracy(),
            ));
            self.state.after_attacks.push(after);
            self.state.rounded.clear();
        }
        Ok(())
    }

    /// One attack with its restarts, with progress.
    fn carry_out(&mut self, attack: &dyn Attack, examples: &[usize]) -> Result<()> {
        let mut phase = None;
        while let Some(batch) = self.evaluation.next_batch(attack, examples)? {
            let number = |examples: usize| examples.div_ceil(self.batch_size) as u64;
            if phase != Some(batch.restart) {
                phase = Some(batch.restart);
                let name = match batch.restart {
                    0 => attack.name().to_owned(),
                    restart => format!("{}, restart {restart}", attack.name()),
                };
                self.ctx
                    .progress
                    .phase(&name, number(batch.all), number(batch.before));
            }
            if self.evaluation.attempt(attack, &batch)? {
                let count = batch.examples.len();
                self.ctx
                    .progress
                    .batch(number(batch.before + count), None, count as u64);
            }
            self.done()?;
        }
        Ok(())
    }

    /// Asks the model about the images as they stand, rounded to 8 bits. Images that were wrong before are not asked about.
    fn judge(&mut self, correct: &[usize], threat: Threat) -> Result<AfterAttack> {
        let labels = &self.examples.labels;
        while let Some(rest) = correct
            .get(self.state.rounded.len()..)
            .filter(|r| !r.is_empty())
        {
            let batch = &rest[..self.batch_size.min(rest.len())];
            let positions: Vec<u32> = batch.iter().map(|&i| i as u32).collect();
            let images = self.evaluation.images();
            let positions = Tensor::from_vec(positions, batch.len(), images.device())?;
            let images = images.index_select(&positions, 0)?;
            let originals = self.examples.images.index_select(&positions, 0)?;
            let images = to_8bit(&images, &originals, threat)?;
            let indices: Vec<usize> = batch.iter().map(|&i| self.examples.indices[i]).collect();
            let what = "the 8-bit form of adversarial image";
            let logits = self.victim.sound_logits(&images, &indices, what)?;
            let truth: Vec<u32> = batch.iter().map(|&i| labels[i]).collect();
            let found = cross_entropy(&logits, &truth, Reduction::Sum)?.per_example;
            self.state
                .rounded
                .extend(predictions(&logits)?.into_iter().zip(found));
            self.done()?;
        }
        let fates = self.evaluation.fates();
        let mut answers: Vec<u32> = fates.iter().map(|fate| fate.prediction).collect();
        let losses: Vec<f64> = fates.iter().map(|fate| fate.loss).collect();
        let mut rounded_losses = losses.clone();
        for (&i, &(answer, loss)) in correct.iter().zip(&self.state.rounded) {
            answers[i] = answer;
            rounded_losses[i] = loss;
        }
        let right = |answers: &[u32]| {
            let right = correct.iter().filter(|&&i| answers[i] == labels[i]);
            right.count() as u64
        };
        let mut floats = Tally::default();
        let after: Vec<u32> = fates.iter().map(|fate| fate.prediction).collect();
        floats.add(&losses, right(&after));
        let mut rounded = Tally::default();
        rounded.add(&rounded_losses, right(&answers));
        let succeeded = |answers: &[u32]| {
            let attacked = fates.iter().enumerate().filter(|(_, fate)| fate.attacked);
            let succeeded = attacked.filter(|(i, fate)| fate.succeeds(answers[*i], labels[*i]));
            succeeded.count()
        };
        Ok(AfterAttack {
            attack: String::new(),
            floats,
            rounded,
            succeeded: [succeeded(&after), succeeded(&answers)],
            answers_8bit: answers,
        })
    }
}
