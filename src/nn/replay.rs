//! Passes that a card repeats: recorded at their second time, and from then on one start does what hundreds did.
//!
//! Attacks and trainings run the same pass thousands of times, with other numbers in tensors of the same shapes. Starting
//! each kernel costs the host more than many a kernel costs the card; a recording is started as a whole. It reads the
//! weights where they are, so that it stays right while they are trained.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use candle_core::Tensor;

use super::gradients::Gradients;
use super::network::{Function, Network};
use super::pass::{Coordinates, Mode, Pass};
use super::plan::BackwardPlan;
use super::tape::Tape;
use crate::ops::card::prepared::{Of, Prepared, changed, reading};
use crate::ops::card::{Recording, card_at, is_card};
use crate::ops::cross_entropy::{self, Losses, Targets, TargetsOnCard};
use crate::ops::logit_score::{self, Score};
use crate::ops::precision::{self, Precision};
use crate::{Error, Result};

/// Passes that are remembered per network.
const MOST: usize = 64;

/// The rows of a recording that a batch of so many rows may use, where its rows do not depend on each other: an attack whose
/// batches shrink has a few recordings and not one for each size.
fn fits(rows: usize, recorded: usize) -> bool {
    (rows..=rows + rows / 3 + 4).contains(&recorded)
}

/// What an attack ascends, a function of each example's logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogitLoss {
    /// So many times the cross-entropy.
    CrossEntropy(f64),
    /// A score.
    Score(Score),
}

/// What tells one pass from another through the same network, beside its number of rows.
#[derive(Clone, PartialEq)]
struct Key {
    kind: Kind,
    /// Of an image.
    shape: Vec<usize>,
    precision: Precision,
}

#[derive(Clone, PartialEq)]
enum Kind {
    Logits,
    /// The gradient of a loss with respect to images; with target classes or without.
    Attack(BackwardPlan, LogitLoss, bool),
    /// Of targets with second labels or without, smoothed by so much.
    Training(BackwardPlan, bool, f64),
}

impl Kind {
    /// Whether a row of the result depends on the same row of the inputs alone.
    fn is_by_row(&self) -> bool {
        !matches!(self, Self::Training(..))
    }
}

/// A recorded pass, with the tensors that it reads from and writes to.
struct Recorded {
    inputs: Vec<Tensor>,
    outputs: Vec<Option<Tensor>>,
    /// What it reads beside the inputs that is computed of weights.
    prepared: Vec<Rc<Prepared>>,
    recording: Box<dyn Recording>,
}

/// What is known of a pass.
#[derive(Clone)]
enum Known {
    /// It came once. Most last batches of a data set never come again.
    Once,
    Recorded(Rc<Recorded>),
    /// The card has no room for a recording, or for its memory.
    Refused,
}

/// The passes through a network that still lives.
struct Passes {
    network: Weak<Function>,
    known: Vec<(Key, usize, Known)>,
}

thread_local! {
    // A recording belongs to the queue of the thread that made it.
    static PASSES: RefCell<HashMap<*const Function, Passes>> = RefCell::default();
}

/// The logits of images on the network's card by a recorded pass; none where there is none yet.
pub fn logits(network: &Network, images: &Tensor) -> Result<Option<Tensor>> {
    let outputs = replayed(network, Kind::Logits, &[images], |function, inputs| {
        Ok(vec![Some(function.logits(&inputs[0])?)])
    })?;
    outputs.map(first).transpose()
}

/// The gradient of a loss's sum with respect to images on the network's card, in evaluation mode, and the logits, which are
/// valid until the same pass comes again; by a recorded pass, none where there is none yet.
pub fn ascent(
    network: &Network,
    plan: &BackwardPlan,
    images: &Tensor,
    (loss, labels, target_classes): (LogitLoss, &[u32], Option<&[u32]>),
) -> Result<Option<(Tensor, Tensor)>> {
    if !is_card(network.device()) {
        return Ok(None);
    }
    let there = |classes: &[u32]| Tensor::from_slice(classes, classes.len(), images.device());
    let labels = there(labels)?;
    let target_classes = target_classes.map(there).transpose()?;
    let inputs = [Some(images), Some(&labels), target_classes.as_ref()];
    let inputs: Vec<&Tensor> = inputs.into_iter().flatten().collect();
    let plan = plan.clone();
    let kind = Kind::Attack(plan.clone(), loss, target_classes.is_some());
    let outputs = replayed(network, kind, &inputs, move |function, inputs| {
        let pass = Pass::attack(plan.clone(), Mode::Eval, Coordinates::default());
        let tape = Tape::new(pass);
        let logits = function.forward(&tape, &tape.input(&inputs[0]))?;
        let found = logits.tensor();
        let labels = &inputs[1];
        let (_, gradient) = match loss {
            LogitLoss::CrossEntropy(weight) => {
                let targets = TargetsOnCard {
                    labels,
                    second: None,
                    smoothing: 0.0,
                };
                cross_entropy::queue_for(found, targets, weight)?
            }
            LogitLoss::Score(score) => logit_score::queue_for(found, labels, inputs.get(2), score)?,
        };
        let found = found.to_dtype(inputs[0].dtype())?;
        let gradient = tape.backward(&logits, gradient)?.input()?;
        Ok(vec![Some(gradient), Some(found)])
    })?;
    let Some(mut outputs) = outputs else {
        return Ok(None);
    };
    let logits = outputs.pop().flatten();
    let logits = logits.ok_or_else(|| Error::failed("a recorded pass has no logits"))?;
    Ok(Some((first(outputs)?, logits)))
}

/// What a training pass found of a batch. All of it is valid until the same pass comes again.
pub struct Trained {
    pub gradients: Gradients,
    pub logits: Tensor,
    pub losses: Losses,
}

/// The mean cross-entropy of a batch in training mode and its gradients, by a recorded pass; none where there is none yet.
pub fn training(
    network: &Network,
    plan: &BackwardPlan,
    images: &Tensor,
    targets: Targets<'_>,
    at: Coordinates,
) -> Result<Option<Trained>> {
    if !is_card(network.device()) {
        return Ok(None);
    }
    let device = images.device();
    let there = |labels: &[u32]| Tensor::from_slice(labels, labels.len(), device);
    let labels = there(targets.labels)?;
    let coordinates = [at.seed, at.epoch, at.batch].map(|word| word as i64);
    let coordinates = Tensor::new(&coordinates, device)?;
    let mut inputs = vec![images.clone(), labels.clone(), coordinates];
    if let Some(second) = targets.second {
        let weights = Tensor::from_slice(second.weights, second.weights.len(), device)?;
        inputs.extend([there(second.labels)?, weights]);
    }
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let (plan, smoothing) = (plan.clone(), targets.smoothing);
    let kind = Kind::Training(plan.clone(), targets.second.is_some(), smoothing);
    let outputs = replayed(network, kind, &inputs, move |function, inputs| {
        let tape = Tape::recorded(plan.clone(), inputs[2].clone());
        let logits = function.forward(&tape, &tape.input(&inputs[0]))?;
        let weight = 1.0 / inputs[1].elem_count().max(1) as f64;
        let targets = TargetsOnCard {
            labels: &inputs[1],
            second: inputs.get(3).zip(inputs.get(4)),
            smoothing,
        };
        let (losses, gradient) = cross_entropy::queue_for(logits.tensor(), targets, weight)?;
        let found = logits.tensor().clone();
        let gradients = tape.backward(&logits, gradient)?.into_parameters();
        Ok([Some(found), Some(losses)]
            .into_iter()
            .chain(gradients)
            .collect())
    })?;
    let Some(mut outputs) = outputs else {
        return Ok(None);
    };
    // The pass moved the running statistics.
    changed(Of::Statistics);
    let gradients = Gradients::of_parameters(outputs.split_off(2));
    let (Some(losses), Some(logits)) = (outputs.pop().flatten(), outputs.pop().flatten()) else {
        return Err(Error::failed("a recorded pass has no logits"));
    };
    Ok(Some(Trained {
        gradients,
        logits,
        losses: Losses::Queued { losses, labels },
    }))
}

/// A copy of a pass's only result, which the next replay overwrites.
fn first(outputs: Vec<Option<Tensor>>) -> Result<Tensor> {
    match outputs.into_iter().flatten().next() {
        Some(output) => Ok(output.force_contiguous()?),
        None => Err(Error::failed("a recorded pass has no result")),
    }
}

/// Runs a recorded pass on other inputs; at a pass's second time it is computed as always, and recorded. The results are
/// valid until the same pass comes again.
fn replayed(
    network: &Network,
    kind: Kind,
    inputs: &[&Tensor],
    pass: impl Fn(&Function, &[Tensor]) -> Result<Vec<Option<Tensor>>> + 'static,
) -> Result<Option<Vec<Option<Tensor>>>> {
    let Some(card) = card_at(network.device())? else {
        return Ok(None);
    };
    let function = network.function();
    let (rows, shape) = inputs[0]
        .dims()
        .split_first()
        .ok_or_else(|| Error::failed("a pass of one number"))?;
    let rows = *rows;
    let key = Key {
        kind,
        shape: shape.to_vec(),
        precision: precision::current(),
    };
    let outputs = match known(function, &key, rows) {
        None => {
            remember(function, key, rows, Known::Once);
            return Ok(None);
        }
        Some((_, Known::Refused)) => return Ok(None),
        Some((recorded_rows, Known::Recorded(recorded))) => {
            for (own, given) in recorded.inputs.iter().zip(inputs) {
                own.slice_set(&given.contiguous()?, 0, 0)?;
            }
            for prepared in &recorded.prepared {
                prepared.refresh(&*card)?;
            }
            if let Err(error) = recorded.recording.replay() {
                tracing::debug!(%error, "a recorded pass does not start, and is computed in steps");
                remember(function, key, recorded_rows, Known::Refused);
                return Ok(None);
            }
            recorded.outputs.clone()
        }
        Some((recorded_rows, Known::Once)) => {
            let inputs = inputs.iter().map(|t| lengthened(t, rows, recorded_rows));
            let inputs: Vec<Tensor> = inputs.collect::<Result<_>>()?;
            let outputs = pass(function, &inputs)?;
            let (weak, own, results) = (Arc::downgrade(function), inputs.clone(), outputs.clone());
            let work = move || {
                let function = weak.upgrade();
                let function =
                    function.ok_or_else(|| Error::failed("a pass of a network that is gone"))?;
                for (result, found) in results.iter().zip(pass(&function, &own)?) {
                    if let (Some(result), Some(found)) = (result, found) {
                        result.slice_set(&found, 0, 0)?;
                    }
                }
                Ok(())
            };
            let (recording, prepared) = reading(|| card.record(Box::new(work)));
            let state = match recording {
                Ok(recording) => Known::Recorded(Rc::new(Recorded {
                    inputs,
                    outputs: outputs.clone(),
                    prepared,
                    recording,
                })),
                Err(error) => {
                    tracing::debug!(%error, "a pass is not recorded and stays slower");
                    Known::Refused
                }
            };
            remember(function, key.clone(), recorded_rows, state);
            outputs
        }
    };
    if !key.kind.is_by_row() {
        return Ok(Some(outputs));
    }
    let outputs = outputs.into_iter();
    let outputs = outputs.map(|output| output.map(|t| t.narrow(0, 0, rows)).transpose());
    Ok(Some(outputs.collect::<Result<_, _>>()?))
}

/// A copy of a tensor, with as many rows as a recording has. Nothing is read off the further ones.
fn lengthened(tensor: &Tensor, rows: usize, recorded: usize) -> Result<Tensor> {
    if rows == recorded {
        return Ok(tensor.force_contiguous()?);
    }
    let mut shape = tensor.dims().to_vec();
    shape[0] = recorded;
    let longer = Tensor::zeros(shape, tensor.dtype(), tensor.device())?;
    longer.slice_set(&tensor.contiguous()?, 0, 0)?;
    Ok(longer)
}

/// What is known of a pass of so many rows, or of the shortest one that it may use; with the number of rows of that.
fn known(function: &Arc<Function>, key: &Key, rows: usize) -> Option<(usize, Known)> {
    PASSES.with_borrow(|passes| {
        let passes = passes.get(&Arc::as_ptr(function))?;
        let usable =
            |recorded: usize| recorded == rows || (key.kind.is_by_row() && fits(rows, recorded));
        let known = passes.known.iter();
        let known = known.filter(|(known, recorded, _)| known == key && usable(*recorded));
        let (_, recorded, known) = known.min_by_key(|(_, recorded, _)| *recorded)?;
        Some((*recorded, known.clone()))
    })
}

/// Notes what is known of a pass. Beyond a number of recordings, each of which holds memory, others are refused.
fn remember(function: &Arc<Function>, key: Key, rows: usize, known: Known) {
    PASSES.with_borrow_mut(|passes| {
        passes.retain(|_, passes| passes.network.strong_count() > 0);
        let passes = passes
            .entry(Arc::as_ptr(function))
            .or_insert_with(|| Passes {
                network: Arc::downgrade(function),
                known: Vec::new(),
            });
        let full = passes.known.len() >= MOST;
        let mut all = passes.known.iter_mut();
        match all.find(|(other, recorded, _)| *other == key && *recorded == rows) {
            Some((_, _, earlier)) => *earlier = known,
            None if full => {}
            None => passes.known.push((key, rows, known)),
        }
    });
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
