//! Loss and accuracy of a network on a data set, clean or under attack.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::assemble;
use super::context::StageContext;
use crate::attacks::{
    Attack, AttackEvaluation, AttackSpec, Checks, Goal, Kept, Originals, Start, Victim, correct,
    craft,
};
use crate::data::{Dataset, DeviceDataset, Loader};
use crate::experiment::ModelUse;
use crate::nn::loss::{Reduction, cross_entropy};
use crate::nn::{BackwardPlan, Network};
use crate::run::throughput::{Stopwatch, per_second};
use crate::run::{MetricsRow, interrupt};
use crate::stage::EvaluateSpec;
use crate::{Error, Result};

/// Tells the random starts of evaluations from those of training in the same epoch.
const ROUND: u16 = 1;

/// What was counted in one pass over a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Sum of the examples' losses.
    pub loss: f64,
    pub correct: u64,
    pub examples: u64,
    pub seconds: f64,
}

impl Tally {
    /// Counts a batch.
    pub fn add(&mut self, losses: &[f64], correct: u64) {
        self.loss += losses.iter().sum::<f64>();
        self.correct += correct;
        self.examples += losses.len() as u64;
    }

    /// Share of examples classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.examples.max(1) as f64
    }

    /// Mean loss per example.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.examples.max(1) as f64
    }

    /// A row of `metrics.csv` without what only the caller knows: epoch, step, best accuracy, learning rate.
    pub fn row(&self, stage: &str, split: &str, attack: &str) -> MetricsRow {
        MetricsRow {
            stage: stage.to_string(),
            split: split.to_string(),
            attack: attack.to_string(),
            loss: Some(self.mean_loss()),
            accuracy: Some(self.accuracy()),
            examples: Some(self.examples),
            seconds: Some(self.seconds),
            examples_per_second: per_second(self.examples, self.seconds),
            ..MetricsRow::default()
        }
    }
}

/// How far an evaluation has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// What was counted under the attacks that are done.
    tallies: Vec<Tally>,
    /// What was counted so far under the one after them, in so many batches.
    tally: Tally,
    batches: usize,
    /// The next batch of it, where several attacks or restarts are tried on it; begun anew where this is missing.
    #[serde(skip)]
    pub evaluation: Option<Kept>,
}

/// What happens in an evaluation.
pub(crate) enum Event<'a> {
    /// A batch was measured under the attack of this name: its logits, and its labels.
    Batch(&'a str, &'a Tensor, &'a [u32]),
    /// A part of one was.
    Part,
}

/// What an evaluation measures, put together once for a stage.
pub(crate) struct Evaluation {
    dataset: DeviceDataset,
    batch_size: usize,
    /// The attacks by name: several for an ensemble, none for clean images.
    attacks: Vec<(String, Vec<Box<dyn Attack>>)>,
    plan: BackwardPlan,
    /// What the model is called in errors.
    model: String,
    seed: u64,
}

impl Evaluation {
    /// The evaluation that a stage asks for, of `dataset`; `attack` is what its attacks share.
    pub fn new(
        ctx: &StageContext<'_>,
        used: &ModelUse<'_>,
        evaluate: &EvaluateSpec,
        attack: Option<&AttackSpec>,
        network: &Network,
        dataset: Arc<Dataset>,
    ) -> Result<Self> {
        let classes = dataset.classes.len();
        let attacks = evaluate.attacks.iter().map(|evaluation| {
            let attacks = match (evaluation.attack(), attack) {
                (Some(entry), Some(shared)) => {
                    assemble::attacks(shared, entry, used.data, classes)?
                }
                _ => Vec::new(),
            };
            Ok((evaluation.name().to_owned(), attacks))
        });
        Ok(Self {
            attacks: attacks.collect::<Result<_>>()?,
            dataset: DeviceDataset::new(dataset, ctx.device)?,
            batch_size: used.data.eval_batch_size,
            plan: assemble::attack_plan(used, network)?,
            model: assemble::model_name(used.model),
            seed: ctx.seed,
        })
    }

    /// The evaluation of `dataset` under one attack, with the activations of `plan` linear backwards.
    pub fn under(
        ctx: &StageContext<'_>,
        used: &ModelUse<'_>,
        attack: Box<dyn Attack>,
        plan: BackwardPlan,
        dataset: Arc<Dataset>,
    ) -> Result<Self> {
        Ok(Self {
            attacks: vec![(attack.name().to_owned(), vec![attack])],
            dataset: DeviceDataset::new(dataset, ctx.device)?,
            batch_size: used.data.eval_batch_size,
            plan,
            model: assemble::model_name(used.model),
            seed: ctx.seed,
        })
    }

    /// The names of the attacks, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attacks.iter().map(|(name, _)| name.as_str())
    }

    /// Measures under each attack in turn, as far as `measured` does not say already. `heard` gets every event, with what
    /// was measured by then.
    pub fn run(
        &self,
        ctx: &StageContext<'_>,
        network: &Network,
        epoch: u64,
        measured: &mut Measured,
        mut heard: impl FnMut(Event<'_>, &Measured) -> Result<()>,
    ) -> Result<Vec<(&str, Tally)>> {
        let victim = Victim {
            name: self.model.clone(),
            check: interrupt::check,
            ..Victim::new(network, self.plan.clone())
        };
        let start = Start {
            seed: self.seed,
            epoch,
            round: ROUND,
            ..Start::default()
        };
        for (name, attacks) in self.attacks.iter().skip(measured.tallies.len()) {
            let watch = Stopwatch::start(measured.tally.seconds);
            let loader = Loader::eval(&self.dataset, self.batch_size)?;
            let phase = match name.as_str() {
                "none" => "evaluating clean images".to_owned(),
                name => format!("evaluating under {name}"),
            };
            let before = measured.batches;
            ctx.progress
                .phase(&phase, loader.batches() as u64, before as u64);
            let mut checks = Checks::default();
            for batch in loader.skip(before) {
                interrupt::check()?;
                let batch = batch?;
                let originals =
                    Originals::new(&batch.images, &batch.label_values, &batch.indices, start);
                let (images, found) = perturb(attacks, &victim, originals, measured, |measured| {
                    measured.tally.seconds = watch.seconds();
                    heard(Event::Part, measured)
                })?;
                checks.join(found);
                let logits = network.logits(&images)?;
                let loss = cross_entropy(&logits, &batch.label_values, Reduction::Sum)?;
                let right = correct(&logits, &batch.label_values)?;
                measured.tally.add(&loss.per_example, right);
                if !measured.tally.loss.is_finite() {
                    return Err(Error::failed(format!(
                        "{}: its loss under {name} is {}: the weights are not finite",
                        self.model, measured.tally.loss
                    )));
                }
                measured.tally.seconds = watch.seconds();
                measured.batches += 1;
                measured.evaluation = None;
                ctx.progress.batch(
                    measured.batches as u64,
                    Some(loss.mean()),
                    batch.label_values.len() as u64,
                );
                heard(Event::Batch(name, &logits, &batch.label_values), measured)?;
            }
            checks.resolve()?;
            measured.tally.seconds = watch.seconds();
            measured.tallies.push(std::mem::take(&mut measured.tally));
            measured.batches = 0;
        }
        Ok(self.names().zip(measured.tallies.iter().copied()).collect())
    }
}

/// The images that a batch is measured on. A single attack perturbs every image, those that are wrong before too, as
/// evaluations of adversarial training do, and its restarts try what is right so far. The members of an ensemble get no
/// images that were wrong before: what it measures is how many withstand. `part` hears of every part of a batch that a
/// evaluation has done.
fn perturb(
    attacks: &[Box<dyn Attack>],
    victim: &Victim<'_>,
    originals: Originals<'_>,
    measured: &mut Measured,
    mut part: impl FnMut(&mut Measured) -> Result<()>,
) -> Result<(Tensor, Checks)> {
    match attacks {
        [] => return Ok((originals.images.clone(), Checks::default())),
        // The evaluation below with less to compute: there is nothing to choose between.
        [only] if only.restarts() == 1 && only.goal() == Goal::Misclassify => {
            return craft(only.as_ref(), victim, originals);
        }
        _ => {}
    }
    let count = originals.labels.len();
    // Campaigns keep their books on the CPU.
    let images = &originals.images.to_device(&Device::Cpu)?;
    let originals = Originals {
        images,
        ..originals
    };
    let mut evaluation = match &measured.evaluation {
        Some(kept) => AttackEvaluation::resume(victim, originals, count, kept)?,
        None => AttackEvaluation::new(victim, originals, count)?,
    };
    let examples: Vec<usize> = match attacks {
        [_] => (0..count).collect(),
        _ => evaluation.right_before()?,
    };
    for attack in attacks.iter().skip(evaluation.done()) {
        while let Some(batch) = evaluation.next_batch(attack.as_ref(), &examples)? {
            evaluation.attempt(attack.as_ref(), &batch)?;
            measured.evaluation = Some(evaluation.kept()?);
            part(measured)?;
        }
    }
    Ok((evaluation.images().clone(), Checks::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::{Steps, Threat};
    use crate::models::{self, ModelConfig};

    #[test]
    fn more_restarts_attack_the_same_images() {
        let config = ModelConfig {
            widths: Some(vec![8]),
            ..ModelConfig::new([1, 4, 4], 3)
        };
        let network = models::build("mlp", &config).unwrap();
        let pixels: Vec<f32> = (0..96).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let images = Tensor::from_vec(pixels, (6, 1, 4, 4), &Device::Cpu).unwrap();
        let labels = [0, 1, 2, 0, 1, 2];
        let right = correct(&network.logits(&images).unwrap(), &labels).unwrap();
        assert!(right < 6, "the test wants images that are wrong before");
        let victim = Victim::new(&network, BackwardPlan::none());
        let originals = Originals::new(&images, &labels, &[0, 1, 2, 3, 4, 5], Start::default());
        let threat = Threat::linf(0.05);
        for restarts in [1, 2] {
            let attack = Steps {
                restarts,
                ..Steps::pgd(threat, 0.02, 3)
            };
            let mut measured = Measured::default();
            let (found, checks) = perturb(
                &[Box::new(attack)],
                &victim,
                originals,
                &mut measured,
                |_| Ok(()),
            )
            .unwrap();
            checks.resolve().unwrap();
            let distances = Threat::distances(&found, &images).unwrap();
            assert!(
                distances.iter().all(|distance| distance.linf > 0.0),
                "{restarts} restarts: {distances:?}"
            );
        }
    }
}
