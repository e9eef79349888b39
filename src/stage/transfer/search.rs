//! The search for the linear activations by which images carry over best: each choice makes images of validation images, which models
//! that are held out judge.

use super::entrant::Entrant;
use crate::attacks::{AttackEvaluation, Entry, Start};
use crate::data::{Split, validation};
use crate::experiment::TransferTask;
use crate::models::{ByUse, Layers};
use crate::run::{LayerSearchRow, files};
use crate::stage::assemble;
use crate::stage::context::StageContext;
use crate::stage::examples::Examples;
use crate::stage::transfer_section::{Range, SearchSpec};
use crate::{Error, Result};

/// The searches of a stage, by what their rows say.
pub(super) struct Search<'a> {
    ctx: &'a StageContext<'a>,
    task: &'a TransferTask,
    settings: SearchSpec,
    /// What images are made of.
    examples: Examples,
    rows: Vec<LayerSearchRow>,
}

/// A choice of linear activations; none: ordinary backpropagation.
struct Candidate {
    layers: Option<Layers>,
    depth: usize,
}

impl<'a> Search<'a> {
    /// The searches as an earlier start left them, on images that the training set of the stage has.
    pub fn open(ctx: &'a StageContext<'a>, task: &'a TransferTask) -> Result<Self> {
        let settings = task.transfer.search.clone().unwrap_or_default();
        let train = assemble::dataset(ctx, &task.data, Split::Train)?;
        let chosen = validation::sample(&train, settings.images, ctx.seed);
        Ok(Self {
            ctx,
            task,
            settings,
            examples: Examples::load(chosen.into(), task.data.eval_batch_size)?,
            rows: LayerSearchRow::read(&ctx.folder.file(files::LAYER_SEARCH))?,
        })
    }

    /// The linear activations for images of an attack on `from`, which the held-out ones among `entrants` find best. Choices that
    /// stand in the table are not tried again.
    ///
    /// # Errors
    /// No image that all of them classify correctly, or no choice at all.
    pub fn choose(
        &mut self,
        entry: &Entry,
        from: &Entrant<'_>,
        entrants: &[Entrant<'_>],
    ) -> Result<Layers> {
        let judges = self.judges(from, entrants);
        let at_stake = self.at_stake(from, &judges)?;
        let candidates = self.candidates(from)?;
        let total = candidates.len() as u64;
        let name = format!("layers of {} for {}", from.name, entry.name);
        let is_alone = judges[0].name == from.name;
        let mut best: Option<(f64, Layers)> = None;
        self.ctx.progress.phase(&name, total, 0);
        for (number, candidate) in (1..).zip(candidates) {
            let words = candidate.layers.as_ref().map(Layers::to_string);
            let stands =
                |row: &&LayerSearchRow| row.is_of(from.name, &entry.name) && row.layers == words;
            let row = match self.rows.iter().find(stands) {
                Some(row) => row.clone(),
                None => {
                    let row = LayerSearchRow {
                        surrogate: from.name.to_owned(),
                        attack: entry.name.clone(),
                        layers: words,
                        depth: candidate.depth,
                        images: at_stake.len(),
                        ..self.tried(entry, from, &judges, candidate.layers.as_ref(), &at_stake)?
                    };
                    self.rows.push(row.clone());
                    self.ctx.folder.write_layer_search(&self.rows)?;
                    row
                }
            };
            self.ctx.progress.batch(number, None, at_stake.len() as u64);
            // Of equally good ones the first, nearest to the output.
            let score = row.score(is_alone);
            if let Some(layers) = candidate.layers
                && best.as_ref().is_none_or(|(most, _)| score > *most)
            {
                best = Some((score, layers));
            }
        }
        let (_, layers) = best.ok_or_else(|| {
            Error::spec(format!(
                "linbp.layers: \"search\" found no activation of {} that can be linear",
                from.name
            ))
        })?;
        self.mark(entry, from, &layers, is_alone)?;
        Ok(layers)
    }

    /// The models that judge, `from` itself where it is alone.
    fn judges<'b>(
        &self,
        from: &'b Entrant<'b>,
        entrants: &'b [Entrant<'b>],
    ) -> Vec<&'b Entrant<'b>> {
        let held_out = self.settings.judges.as_ref();
        let judges = entrants.iter().filter(|entrant| {
            let is_named =
                held_out.is_none_or(|names| names.iter().any(|name| name == entrant.name));
            is_named && entrant.name != from.name
        });
        let judges: Vec<&Entrant<'_>> = judges.collect();
        if judges.is_empty() {
            vec![from]
        } else {
            judges
        }
    }

    /// The validation images that `from` and all judges classify correctly.
    fn at_stake(&self, from: &Entrant<'_>, judges: &[&Entrant<'_>]) -> Result<Vec<usize>> {
        let Examples { images, labels, .. } = &self.examples;
        let mut right = vec![true; labels.len()];
        for model in judges.iter().copied().chain([from]) {
            let answers = model.answers(&self.examples, images, self.task.data.eval_batch_size)?;
            for (right, (answer, label)) in right.iter_mut().zip(answers.iter().zip(labels)) {
                *right &= answer == label;
            }
        }
        let at_stake: Vec<usize> = (0..labels.len()).filter(|&i| right[i]).collect();
        if at_stake.is_empty() {
            return Err(Error::failed(format!(
                "transfer.search: none of {} training images is classified correctly by {} and all judges; raise \
                 transfer.search.images",
                labels.len(),
                from.name
            )));
        }
        Ok(at_stake)
    }

    /// Ordinary backpropagation, then each activation from the output inwards that can be linear.
    fn candidates(&self, from: &Entrant<'_>) -> Result<Vec<Candidate>> {
        let names = from.network.activations();
        let mut candidates = vec![Candidate {
            layers: None,
            depth: 0,
        }];
        let most = self.settings.depth.unwrap_or(names.len());
        for (name, depth) in names.iter().rev().zip(1..).take(most) {
            let layers = match self.settings.range {
                Range::From => Layers::From(name.clone()),
                Range::Single => Layers::Names(vec![name.clone()]),
            };
            // "rescaled" takes activations inside a branch.
            if self.plan(from, Some(&layers)).is_ok() {
                candidates.push(Candidate {
                    layers: Some(layers),
                    depth,
                });
            }
        }
        Ok(candidates)
    }

    fn plan(&self, from: &Entrant<'_>, layers: Option<&Layers>) -> Result<crate::nn::BackwardPlan> {
        let mut used = from.used.clone();
        used.linbp.attack = layers.is_some();
        if let Some(layers) = layers {
            used.linbp.layers = ByUse::both(layers.clone());
        }
        assemble::attack_plan(&used, &from.network)
    }

    /// What an attack by the choice comes to on the images at stake.
    fn tried(
        &self,
        entry: &Entry,
        from: &Entrant<'_>,
        judges: &[&Entrant<'_>],
        layers: Option<&Layers>,
        at_stake: &[usize],
    ) -> Result<LayerSearchRow> {
        let TransferTask { attack, data, .. } = self.task;
        let start = Start {
            seed: self.ctx.seed,
            ..Start::default()
        };
        let victim = from.victim(self.plan(from, layers)?);
        let batch_size = data.eval_batch_size;
        let originals = self.examples.originals(start);
        let mut evaluation = AttackEvaluation::new(&victim, originals, batch_size)?;
        for member in assemble::attacks(attack, entry, data, self.examples.classes)? {
            evaluation.attack(member.as_ref(), at_stake)?;
        }
        let (images, fates) = (evaluation.images().clone(), evaluation.fates());
        let mut successes = 0;
        for judge in judges {
            let answers = judge.answers(&self.examples, &images, batch_size)?;
            let labels = &self.examples.labels;
            let fooled = at_stake
                .iter()
                .filter(|&&i| fates[i].succeeds(answers[i], labels[i]));
            successes += fooled.count();
        }
        let losses: f64 = at_stake.iter().map(|&i| fates[i].loss).sum();
        Ok(LayerSearchRow {
            success_rate: successes as f64 / (at_stake.len() * judges.len()) as f64,
            loss: losses / at_stake.len() as f64,
            ..LayerSearchRow::default()
        })
    }

    /// Says what was chosen, and by how much it beats ordinary backpropagation.
    fn mark(
        &mut self,
        entry: &Entry,
        from: &Entrant<'_>,
        layers: &Layers,
        is_alone: bool,
    ) -> Result<()> {
        let words = layers.to_string();
        let mut scores = [0.0; 2];
        let mut rows = self.rows.iter_mut();
        while let Some(row) = rows.find(|row| row.is_of(from.name, &entry.name)) {
            row.chosen = row.layers.as_ref() == Some(&words);
            if row.chosen || row.layers.is_none() {
                scores[usize::from(row.chosen)] = row.score(is_alone);
            }
        }
        self.ctx.folder.write_layer_search(&self.rows)?;
        let [bp, linbp] = scores;
        let figures = match is_alone {
            true => format!("loss {linbp:.3}, by BP {bp:.3}"),
            false => format!(
                "{:.1} % of the validation images carry over, by BP {:.1} %",
                100.0 * linbp,
                100.0 * bp
            ),
        };
        let line = format!(
            "{}: linbp.layers = {words} for {}: {figures}",
            from.name, entry.name
        );
        self.ctx.progress.line(&line);
        if linbp < bp {
            tracing::warn!(
                surrogate = from.name,
                attack = entry.name,
                "no choice of linear layers does as well as BP"
            );
        }
        Ok(())
    }
}
