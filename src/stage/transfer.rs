//! Task `transfer`: images made on each of several models, judged by all of them.

mod entrant;
mod given;
mod rows;
mod search;
mod summary;
mod surrogate;
mod table;

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::assemble;
use super::context::StageContext;
use super::examples::Examples;
use super::transfer_section::AttackedImages;
use crate::Result;
use crate::attacks::{
    Attack, AttackEvaluation, Entry, Fate, Kept, KeptState, Start, Threat, to_8bit,
};
use crate::data::Split;
use crate::experiment::TransferTask;
use crate::models::{ByUse, Layers};
use crate::nn::BackwardPlan;
use crate::run::{Interim, MadeOn, Metrics};
use crate::weights::Tensors;
use entrant::Entrant;
use given::Given;
use rows::{Judged, Made};
use search::Search;
use surrogate::Surrogate;
use table::Table;

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
    /// Which images every model classifies correctly without an attack, once all were asked.
    right_for_all: Vec<bool>,
    /// Whether these alone are attacked.
    for_all: bool,
    /// The evaluation that an earlier start left.
    left: Option<Kept>,
    /// The search for linear activations, once one is asked for.
    search: Option<Search<'a>>,
    /// Of each surrogate that was attacked, its evaluation before the first attack: every attack on it begins there.
    looked_at: BTreeMap<String, Kept>,
}

/// Fills the matrix, row by row as `transfer.csv` has them; rows that stand are not computed again.
pub(super) fn run(ctx: &StageContext<'_>, task: &TransferTask) -> Result<Metrics> {
    let spec = &task.transfer;
    let dataset = assemble::dataset(ctx, &task.data, Split::Test)?;
    let examples = Examples::load(dataset.clone(), task.data.eval_batch_size)?;
    let entrants = spec.models.iter();
    let entrants = entrants.map(|model| Entrant::new(ctx, task, model, &dataset));
    let entrants = entrants.collect::<Result<Vec<_>>>()?;
    let files = entrants.iter().map(|entrant| entrant.files(ctx));
    let files = files.collect::<Result<Vec<_>>>()?.concat();
    ctx.folder.write_transfer_models(&files)?;
    ctx.progress.stage(ctx.id, 1);
    let mut table = Table::open(ctx, &entrants, &examples)?;
    let surrogates = Surrogate::all(spec, &entrants)?;
    let mut matrix = Matrix::new(ctx, task, &entrants, &examples)?;
    matrix.ask_without_attack()?;
    for attack in &spec.attacks {
        for &linbp in spec.rules(attack) {
            for from in &surrogates {
                let made_on = (from.name.to_owned(), attack.name.clone(), linbp);
                if !table.has(&made_on) {
                    let fates = matrix.fill(attack, linbp, from)?;
                    let members: Vec<&str> = from.members.iter().map(|model| model.name).collect();
                    let made = matrix.made((&made_on, &members), &fates);
                    table.add(&made, &matrix.judged())?;
                }
            }
        }
    }
    for (name, images) in &spec.adversarial {
        let made_on = (name.clone(), name.clone(), false);
        if !table.has(&made_on) {
            let given = Given::read(ctx, task, (name, images), &dataset, &examples)?;
            let fates = matrix.judge_given(name, &given)?;
            table.add(&matrix.made((&made_on, &[]), &fates), &matrix.judged())?;
        }
    }
    let metrics = summary::metrics(
        ctx,
        task,
        &entrants,
        &matrix.state.clean,
        &examples.labels,
        table.rows(),
    );
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
            right_for_all: Vec::new(),
            for_all: task.transfer.images == AttackedImages::RightForAll,
            left,
            search: None,
            looked_at: BTreeMap::new(),
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
        self.interim.ended(outcome, || work(&self.state, None))?;
        let (clean, labels) = (&self.state.clean, &self.examples.labels);
        let right = (0..labels.len()).map(|i| clean.iter().all(|answers| answers[i] == labels[i]));
        self.right_for_all = right.collect();
        let count = self.right_for_all.iter().filter(|right| **right).count();
        self.ctx.progress.line(&format!(
            "{count} of {} images are right for all models",
            labels.len()
        ));
        Ok(())
    }

    /// Makes the images of an attack on `from` and has them judged; what became of each.
    fn fill(&mut self, entry: &Entry, linbp: bool, from: &Surrogate<'_>) -> Result<Vec<Fate>> {
        let TransferTask {
            attack,
            data,
            transfer,
            ..
        } = self.task;
        let members = from.members.iter();
        let plans = members.map(|member| self.plan(entry, linbp, member));
        let victim = from.victim(plans.collect::<Result<_>>()?);
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
                self.begin(position);
                // One look at a model is enough.
                if !linbp && transfer.attacks.first() == Some(entry) {
                    for warning in self.examples.examine(&victim, start, self.batch_size)? {
                        tracing::warn!(model = from.name, "about the following warning");
                        warning.emit();
                    }
                }
                match self.looked_at.get(from.name) {
                    Some(kept) => {
                        AttackEvaluation::resume(&victim, originals, self.batch_size, kept)?
                    }
                    None => AttackEvaluation::begin(&victim, originals, self.batch_size)?,
                }
            }
        };
        let attacks = assemble::attacks(attack, entry, data, self.examples.classes)?;
        let rule = if linbp { "LinBP" } else { "BP" };
        let words = [from.name, rule];
        let outcome = self.make(&mut evaluation, &attacks, words).and_then(|()| {
            let floats = evaluation.images().clone();
            let rounded = to_8bit(&floats, &self.examples.images, assemble::threat(&attacks)?)?;
            self.judge([&floats, &rounded], Some(&evaluation))
        });
        self.interim
            .ended(outcome, || work(&self.state, Some(&evaluation)))?;
        Ok(evaluation.fates().to_vec())
    }

    /// How the gradients of an attack on a model go back.
    fn plan(&mut self, entry: &Entry, linbp: bool, from: &Entrant<'_>) -> Result<BackwardPlan> {
        let mut used = from.used.clone();
        used.linbp.attack = linbp;
        if linbp && used.linbp.layers.attack == Layers::Search {
            let search = match &mut self.search {
                Some(search) => search,
                none => none.insert(Search::open(self.ctx, self.task)?),
            };
            used.linbp.layers = ByUse::both(search.choose(entry, from, self.entrants)?);
        }
        assemble::attack_plan(&used, &from.network)
    }

    /// Has images judged that were made elsewhere; what became of each.
    fn judge_given(&mut self, name: &str, given: &Given) -> Result<Vec<Fate>> {
        let TransferTask {
            attack, transfer, ..
        } = self.task;
        if let Some(entry) = transfer.attacks.first() {
            let attacks = assemble::attacks(attack, entry, &self.task.data, self.examples.classes)?;
            given.compare(name, &self.examples.images, assemble::threat(&attacks)?)?;
        }
        let position = Some((name.to_owned(), false, name.to_owned()));
        if self.state.position != position {
            self.begin(position);
        }
        // A ball of the whole pixel range: nobody promised a smaller one.
        let rounded = to_8bit(&given.images, &self.examples.images, Threat::linf(1.0))?;
        let outcome = self.judge([&given.images, &rounded], None);
        self.interim.ended(outcome, || work(&self.state, None))?;
        let right_for_all = &self.right_for_all;
        Ok(given.fates(|i| !self.for_all || right_for_all[i]))
    }

    /// Goes over to other images.
    fn begin(&mut self, position: Option<(String, bool, String)>) {
        self.state.position = position;
        self.state.judged = vec![Default::default(); self.entrants.len()];
    }

    /// What the rows of the images that were made last are about.
    fn made<'b>(
        &'b self,
        (made_on, members): (&'b MadeOn, &'b [&'b str]),
        fates: &'b [Fate],
    ) -> Made<'b> {
        Made {
            made_on,
            members,
            fates,
            indices: &self.examples.indices,
            labels: &self.examples.labels,
            right_for_all: &self.right_for_all,
        }
    }

    /// What each model answers to them.
    fn judged(&self) -> Vec<Judged<'_>> {
        let answers = self.state.clean.iter().zip(&self.state.judged);
        let judged = self.entrants.iter().zip(answers);
        let judged = judged.map(|(to, (clean, adversarial))| Judged {
            to: to.name,
            clean,
            adversarial,
        });
        judged.collect()
    }

    /// What is left of the attacks.
    fn make(
        &mut self,
        evaluation: &mut AttackEvaluation<'_>,
        attacks: &[Box<dyn Attack>],
        [surrogate, rule]: [&str; 2],
    ) -> Result<()> {
        while evaluation.look()? {
            self.interim.done(|| work(&self.state, Some(evaluation)))?;
        }
        if evaluation.done() == 0 && !evaluation.is_under_way() {
            let kept = evaluation.kept()?;
            self.looked_at.entry(surrogate.to_owned()).or_insert(kept);
        }
        let mut right = evaluation.right_before()?;
        right.retain(|&i| !self.for_all || self.right_for_all[i]);
        for member in attacks.iter().skip(evaluation.done()) {
            let name = format!("{} on {surrogate} by {rule}", member.name());
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

    /// Has all models classify images, as floats and, where that is asked for, rounded.
    fn judge(
        &mut self,
        images: [&Tensor; 2],
        evaluation: Option<&AttackEvaluation<'_>>,
    ) -> Result<()> {
        for (to, position) in self.entrants.iter().zip(0..) {
            let forms = if self.task.transfer.eight_bit { 2 } else { 1 };
            for (form, images) in images.into_iter().enumerate().take(forms) {
                while let Some(answers) = to.next_answers(
                    self.examples,
                    images,
                    self.batch_size,
                    self.state.judged[position][form].len(),
                )? {
                    self.state.judged[position][form].extend(answers);
                    self.interim.done(|| work(&self.state, evaluation))?;
                }
            }
        }
        Ok(())
    }
}
