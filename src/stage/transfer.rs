//! Task `transfer`: images made on each of several models, judged by all of them.

mod rows;

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::assemble;
use super::context::StageContext;
use super::examples::Examples;
use crate::Result;
use crate::attacks::{
    Attack, AttackEvaluation, Entry, Kept, KeptState, Start, Threat, Victim, predictions, to_8bit,
};
use crate::data::Split;
use crate::experiment::{ModelUse, TransferTask};
use crate::nn::{LinearPlan, Network};
use crate::run::{Interim, Metrics, TransferRow, files, interrupt};
use crate::weights::Tensors;
use rows::{accuracy, put, row};

/// A model that images are made on and judged by.
struct Entrant<'a> {
    name: &'a str,
    used: ModelUse<'a>,
    network: Network,
    /// What it is called in errors.
    words: String,
}

impl Entrant<'_> {
    fn victim(&self, plan: LinearPlan) -> Victim<'_> {
        Victim {
            name: self.words.clone(),
            check: interrupt::check,
            ..Victim::new(&self.network, plan)
        }
    }

    /// Its next answers to `images`, which are or were made of the examples, where `known` are known; nothing where all are.
    fn next_answers(
        &self,
        examples: &Examples,
        images: &Tensor,
        batch_size: usize,
        known: usize,
    ) -> Result<Option<Vec<u32>>> {
        let count = batch_size.min(examples.labels.len().saturating_sub(known));
        if count == 0 {
            return Ok(None);
        }
        let victim = self.victim(LinearPlan::none());
        let batch = images.narrow(0, known, count)?;
        let indices = &examples.indices[known..known + count];
        let logits = victim.sound_logits(&batch, indices, "image")?;
        predictions(&logits).map(Some)
    }
}

/// How far the stage has come beside the rows that stand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The answers of each model to the images without an attack, as far as it was asked.
    clean: Vec<Vec<u32>>,
    /// Which images are made and judged: attack, whether by LinBP, and the model that they are made on.
    position: Option<(String, bool, String)>,
    evaluation: Option<KeptState>,
    /// The answers of each model to them, as floats and rounded to 8 bits, as far as it was asked.
    judged: Vec<[Vec<u32>; 2]>,
}

/// The matrix in the making, which can be left at any time and taken up again.
struct Matrix<'a> {
    ctx: &'a StageContext<'a>,
    task: &'a TransferTask,
    entrants: &'a [Entrant<'a>],
    examples: &'a Examples,
    batch_size: usize,
    interim: Interim,
    state: State,
    /// The evaluation that an earlier start left.
    left: Option<Kept>,
}

/// Fills the matrix, row by row as `transfer.csv` has them; rows that stand are not computed again.
pub(super) fn run(ctx: &StageContext<'_>, task: &TransferTask) -> Result<Metrics> {
    let TransferTask {
        transfer: spec,
        data,
        ..
    } = task;
    let dataset = assemble::dataset(ctx, data, Split::Test)?;
    let mut entrants = Vec::new();
    let examples = Examples::load(dataset.clone(), data.eval_batch_size)?;
    for (name, model) in &spec.models {
        let used = ModelUse {
            key: format!("transfer.models.{name}"),
            ..ModelUse::new(model, data, &task.linbp, ctx.seed)
        };
        entrants.push(Entrant {
            name,
            network: assemble::network(ctx, &used, &dataset)?,
            words: format!("{}: {}", used.key, assemble::model_name(model)),
            used,
        });
    }
    ctx.progress.stage(ctx.id, 1);
    let mut rows = TransferRow::read(&ctx.folder.file(files::TRANSFER))?;
    let mut matrix = Matrix::new(ctx, task, &entrants, &examples)?;
    matrix.ask_without_attack()?;
    for attack in &spec.attacks {
        for &linbp in &spec.linbp {
            let is_surrogate = |entrant: &&Entrant<'_>| {
                let surrogates = spec.surrogates.as_ref();
                surrogates.is_none_or(|names| names.iter().any(|name| name == entrant.name))
            };
            for from in entrants.iter().filter(is_surrogate) {
                let stands = |to: &Entrant<'_>| {
                    let position = (from.name, to.name, attack.name.as_str(), linbp);
                    let mut rows = rows.iter();
                    rows.any(|row| (&*row.from, &*row.to, &*row.attack, row.linbp) == position)
                };
                if entrants.iter().all(stands) {
                    continue;
                }
                put(&mut rows, matrix.fill(attack, linbp, from)?);
                ctx.folder.write_transfer(&rows)?;
            }
        }
    }
    let metrics = report(ctx, &entrants, &matrix.state.clean, &examples.labels, &rows);
    ctx.progress.finish();
    Ok(metrics)
}

/// What the stage has done, to be written.
fn work(state: &State, evaluation: Option<&AttackEvaluation<'_>>) -> Result<(Tensors, State)> {
    let mut state = state.clone();
    let mut tensors = Tensors::new();
    if let Some(evaluation) = evaluation {
        let kept = evaluation.kept()?;
        tensors = kept.tensors;
        state.evaluation = Some(kept.state);
    }
    Ok((tensors, state))
}

impl<'a> Matrix<'a> {
    /// A matrix as an earlier start left it, or a new one.
    fn new(
        ctx: &'a StageContext<'a>,
        task: &'a TransferTask,
        entrants: &'a [Entrant<'a>],
        examples: &'a Examples,
    ) -> Result<Self> {
        let (interim, found) = ctx.folder.interim::<State>()?;
        let (mut state, left) = match found {
            None => Default::default(),
            Some((tensors, mut state)) => {
                ctx.progress.line("goes on where it was left");
                let kept = state.evaluation.take();
                (state, kept.map(|state| Kept { tensors, state }))
            }
        };
        state.clean.resize(entrants.len(), Vec::new());
        state.judged.resize(entrants.len(), Default::default());
        Ok(Self {
            ctx,
            task,
            entrants,
            examples,
            batch_size: task.data.eval_batch_size,
            interim,
            state,
            left,
        })
    }

    /// Asks every model about the images without an attack.
    fn ask_without_attack(&mut self) -> Result<()> {
        let outcome = (|| {
            for (entrant, position) in self.entrants.iter().zip(0..) {
                let images = &self.examples.images;
                while let Some(answers) = entrant.next_answers(
                    self.examples,
                    images,
                    self.batch_size,
                    self.state.clean[position].len(),
                )? {
                    self.state.clean[position].extend(answers);
                    self.interim.done(|| work(&self.state, None))?;
                }
            }
            Ok(())
        })();
        self.interim.ended(outcome, || work(&self.state, None))
    }

    /// The rows of an attack on the images that `from` classifies correctly.
    fn fill(&mut self, entry: &Entry, linbp: bool, from: &Entrant<'_>) -> Result<Vec<TransferRow>> {
        let TransferTask { attack, data, .. } = self.task;
        let mut used = from.used.clone();
        used.linbp.attack = linbp;
        let victim = from.victim(assemble::attack_plan(&used, &from.network)?);
        let start = Start {
            seed: self.ctx.seed,
            ..Start::default()
        };
        let position = Some((entry.name.clone(), linbp, from.name.to_owned()));
        let left = self.left.take().filter(|_| self.state.position == position);
        let originals = self.examples.originals(start);
        let mut evaluation = match left {
            Some(left) => AttackEvaluation::resume(&victim, originals, self.batch_size, &left)
                .map_err(|error| self.interim.strange(&error))?,
            None => {
                self.state.position = position;
                self.state.judged = vec![Default::default(); self.entrants.len()];
                if !linbp {
                    for warning in self.examples.examine(&victim, start, self.batch_size)? {
                        tracing::warn!(model = from.name, "about the following warning");
                        warning.emit();
                    }
                }
                AttackEvaluation::begin(&victim, originals, self.batch_size)?
            }
        };
        let attacks = assemble::attacks(attack, entry, data, self.examples.classes)?;
        let rule = if linbp { "LinBP" } else { "BP" };
        let words = format!("{} by {rule}", from.name);
        let outcome = self
            .make(&mut evaluation, &attacks, &words)
            .and_then(|()| self.judge(&evaluation, assemble::threat(&attacks)?));
        self.interim
            .ended(outcome, || work(&self.state, Some(&evaluation)))?;
        let labels = &self.examples.labels;
        let clean = &self.state.clean;
        let right = (0..labels.len()).map(|i| clean.iter().all(|answers| answers[i] == labels[i]));
        let right_for_all: Vec<bool> = right.collect();
        let answers = clean.iter().zip(&self.state.judged);
        let rows = self
            .entrants
            .iter()
            .zip(answers)
            .map(|(to, (clean, answers))| {
                let names = TransferRow {
                    from: from.name.to_owned(),
                    to: to.name.to_owned(),
                    attack: entry.name.clone(),
                    linbp,
                    ..TransferRow::default()
                };
                row(
                    names,
                    evaluation.fates(),
                    labels,
                    (clean, &right_for_all),
                    answers,
                )
            });
        Ok(rows.collect())
    }

    /// What is left of the attacks.
    fn make(
        &mut self,
        evaluation: &mut AttackEvaluation<'_>,
        attacks: &[Box<dyn Attack>],
        on: &str,
    ) -> Result<()> {
        while evaluation.look()? {
            self.interim.done(|| work(&self.state, Some(evaluation)))?;
        }
        let right = evaluation.right_before()?;
        for member in attacks.iter().skip(evaluation.done()) {
            let name = format!("{} on {on}", member.name());
            let mut phase = None;
            while let Some(batch) = evaluation.next_batch(member.as_ref(), &right)? {
                let number = |examples: usize| examples.div_ceil(self.batch_size) as u64;
                let progress = self.ctx.progress;
                if phase != Some(batch.restart) {
                    phase = Some(batch.restart);
                    progress.phase(&name, number(batch.all), number(batch.before));
                }
                if evaluation.attempt(member.as_ref(), &batch)? {
                    let count = batch.examples.len();
                    progress.batch(number(batch.before + count), None, count as u64);
                }
                self.interim.done(|| work(&self.state, Some(evaluation)))?;
            }
        }
        Ok(())
    }

    /// Has all models classify the images as they stand.
    fn judge(&mut self, evaluation: &AttackEvaluation<'_>, threat: Threat) -> Result<()> {
        let floats = evaluation.images();
        let rounded = to_8bit(floats, &self.examples.images, threat)?;
        for (to, position) in self.entrants.iter().zip(0..) {
            for (form, images) in [floats, &rounded].into_iter().enumerate() {
                while let Some(answers) = to.next_answers(
                    self.examples,
                    images,
                    self.batch_size,
                    self.state.judged[position][form].len(),
                )? {
                    self.state.judged[position][form].extend(answers);
                    self.interim.done(|| work(&self.state, Some(evaluation)))?;
                }
            }
        }
        Ok(())
    }
}

/// The clean accuracy of each model, and for each attack the mean accuracy of the models that the images were not made on.
fn report(
    ctx: &StageContext<'_>,
    entrants: &[Entrant<'_>],
    answers: &[Vec<u32>],
    labels: &[u32],
    rows: &[TransferRow],
) -> Metrics {
    let mut metrics = Metrics::new();
    for (entrant, answers) in entrants.iter().zip(answers) {
        let clean = accuracy(answers, labels);
        ctx.progress.line(&format!(
            "{}: accuracy {:.2} % without attack",
            entrant.name,
            100.0 * clean
        ));
        metrics.insert(format!("{}_accuracy", entrant.name), clean);
    }
    let mut others: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.from != row.to) {
        let rule = if row.linbp { "_linbp" } else { "" };
        let name = format!("transfer_{}{rule}_accuracy", row.attack);
        others.entry(name).or_default().push(row.accuracy);
    }
    for (name, values) in others {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        ctx.progress.line(&format!(
            "{name}: {:.2} % on average over other models",
            100.0 * mean
        ));
        metrics.insert(name, mean);
    }
    metrics
}
