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

use super::network::{Function, Network};
use super::pass::{Coordinates, LinearPlan, Mode, Pass};
use super::tape::{Gradients, Tape};
use crate::ops::card::prepared::{Of, Prepared, changed, reading};
use crate::ops::card::{Recording, card_at, is_card};
use crate::ops::cross_entropy::{self, Losses};
use crate::ops::precision::{self, Precision};
use crate::{Error, Result};

/// Passes that are remembered per network. An attack whose batches shrink has a new one for each of their sizes.
const MOST: usize = 16;

/// What tells one pass from another through the same network.
#[derive(Clone, PartialEq)]
struct Key {
    kind: Kind,
    shape: Vec<usize>,
    precision: Precision,
}

#[derive(Clone, PartialEq)]
enum Kind {
    Logits,
    /// The gradient of so many times the cross-entropies with respect to images.
    Attack(LinearPlan, f64),
    Training(LinearPlan),
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
    /// The card has no room for a recording.
    Refused,
}

/// The passes through a network that still lives.
struct Passes {
    network: Weak<Function>,
    known: Vec<(Key, Known)>,
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

/// The gradient of `weight` times the sum of the cross-entropies with respect to images on the network's card, in evaluation
/// mode, by a recorded pass; none where there is none yet.
pub fn cross_entropy_gradient(
    network: &Network,
    plan: &LinearPlan,
    images: &Tensor,
    labels: &[u32],
    weight: f64,
) -> Result<Option<Tensor>> {
    if !is_card(network.device()) {
        return Ok(None);
    }
    let labels = Tensor::from_slice(labels, labels.len(), images.device())?;
    let plan = plan.clone();
    let kind = Kind::Attack(plan.clone(), weight);
    let outputs = replayed(
        network,
        kind,
        &[images, &labels],
        move |function, inputs| {
            let pass = Pass::attack(plan.clone(), Mode::Eval, Coordinates::default());
            let tape = Tape::new(pass);
            let logits = function.forward(&tape, &tape.input(&inputs[0]))?;
            let (_, gradient) = cross_entropy::queue_for(logits.tensor(), &inputs[1], weight)?;
            Ok(vec![Some(tape.backward(&logits, gradient)?.input()?)])
        },
    )?;
    outputs.map(first).transpose()
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
    plan: &LinearPlan,
    images: &Tensor,
    labels: &[u32],
    at: Coordinates,
) -> Result<Option<Trained>> {
    if !is_card(network.device()) {
        return Ok(None);
    }
    let device = images.device();
    let labels = Tensor::from_slice(labels, labels.len(), device)?;
    let coordinates = [at.seed, at.epoch, at.batch].map(|word| word as i64);
    let coordinates = Tensor::new(&coordinates, device)?;
    let inputs = [images, &labels, &coordinates];
    let plan = plan.clone();
    let kind = Kind::Training(plan.clone());
    let outputs = replayed(network, kind, &inputs, move |function, inputs| {
        let tape = Tape::recorded(plan.clone(), inputs[2].clone());
        let logits = function.forward(&tape, &tape.input(&inputs[0]))?;
        let weight = 1.0 / inputs[1].elem_count().max(1) as f64;
        let (losses, gradient) = cross_entropy::queue_for(logits.tensor(), &inputs[1], weight)?;
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
    let key = Key {
        kind,
        shape: inputs[0].dims().to_vec(),
        precision: precision::current(),
    };
    match known(function, &key) {
        None => {
            remember(function, key, Known::Once);
            Ok(None)
        }
        Some(Known::Refused) => Ok(None),
        Some(Known::Recorded(recorded)) => {
            for (own, given) in recorded.inputs.iter().zip(inputs) {
                own.slice_set(&given.contiguous()?, 0, 0)?;
            }
            for prepared in &recorded.prepared {
                prepared.refresh(&*card)?;
            }
            recorded.recording.replay()?;
            Ok(Some(recorded.outputs.clone()))
        }
        Some(Known::Once) => {
            let inputs = inputs.iter().map(|t| t.force_contiguous());
            let inputs: Vec<Tensor> = inputs.collect::<Result<_, _>>()?;
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
            remember(function, key, state);
            Ok(Some(outputs))
        }
    }
}

fn known(function: &Arc<Function>, key: &Key) -> Option<Known> {
    PASSES.with_borrow(|passes| {
        let passes = passes.get(&Arc::as_ptr(function))?;
        let (_, known) = passes.known.iter().find(|(known, _)| known == key)?;
        Some(known.clone())
    })
}

/// Notes what is known of a pass. Beyond a number of recordings, each of which holds memory, others are refused.
fn remember(function: &Arc<Function>, key: Key, known: Known) {
    PASSES.with_borrow_mut(|passes| {
        passes.retain(|_, passes| passes.network.strong_count() > 0);
        let passes = passes
            .entry(Arc::as_ptr(function))
            .or_insert_with(|| Passes {
                network: Arc::downgrade(function),
                known: Vec::new(),
            });
        let full = passes.known.len() >= MOST;
        match passes.known.iter_mut().find(|(known, _)| *known == key) {
            Some((_, earlier)) => *earlier = known,
            None if full => {}
            None => passes.known.push((key, known)),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::Victim;
    use crate::models::{self, ModelConfig};
    use crate::nn::{
        BatchNorm2d, Builder, Conv2d, ConvConfig, Dropout, Init, Linear, Module, Var, batch_norm2d,
        conv2d, dropout, linear, structure,
    };
    use crate::ops::card::host::{numbers, on_host};
    use candle_core::{DType, Device};

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn images(seed: u64, n: usize) -> Tensor {
        let shape = [n, 1, 28, 28];
        Tensor::from_vec(numbers(&shape, seed, 1.0), &shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_replay_computes_what_the_pass_does() {
        on_host(|| {
            let network = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
            let all = vec![true; network.activations().len()];
            let plans = [LinearPlan::none(), LinearPlan::new(all)];
            for round in 0..4u64 {
                let x = images(round, 3);
                let labels = [round as u32, 1, 9];
                let expected = network.function().logits(&x).unwrap();
                let found = logits(&network, &x).unwrap();
                assert_eq!(found.is_some(), round > 0);
                if let Some(found) = found {
                    assert_eq!(flat(&found), flat(&expected));
                }
                for plan in &plans {
                    let gradient = |weight| {
                        cross_entropy_gradient(&network, plan, &x, &labels, weight).unwrap()
                    };
                    let victim = Victim::new(&network, plan.clone());
                    let expected = victim.cross_entropy_gradient(&x, &labels).unwrap();
                    let found = gradient(1.0);
                    assert_eq!(found.is_some(), round > 0);
                    if let Some(found) = found {
                        assert_eq!(flat(&found), flat(&expected));
                        let negative = gradient(-1.0).map(|g| flat(&g.neg().unwrap()));
                        assert!(negative.is_none_or(|g| g == flat(&expected)));
                    }
                }
                // The weights of later rounds are others.
                for param in network.parameters() {
                    let moved = (param.tensor() * 0.9).unwrap();
                    param.set(&moved).unwrap();
                }
            }
            let known = |network: &Network| {
                let at = Arc::as_ptr(network.function());
                PASSES.with_borrow(|passes| passes.get(&at).map_or(0, |passes| passes.known.len()))
            };
            assert_eq!(known(&network), 5);
            for n in 4..40 {
                logits(&network, &images(9, n)).unwrap();
            }
            assert_eq!(known(&network), MOST);
            let other = models::build("lenet5", &ModelConfig::new([1, 28, 28], 10)).unwrap();
            drop(network);
            assert!(logits(&other, &images(1, 3)).unwrap().is_none());
            PASSES.with_borrow(|passes| assert_eq!(passes.len(), 1));
        });
    }

    /// One of each layer that a training pass treats otherwise than an evaluation.
    struct Small {
        conv: Conv2d,
        norm: BatchNorm2d,
        dropout: Dropout,
        linear: Linear,
    }

    impl Module for Small {
        fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
            let x = self.norm.forward(tape, &self.conv.forward(tape, x)?)?;
            let x = self.dropout.forward(tape, &x)?;
            self.linear.forward(tape, &structure::flatten(tape, &x)?)
        }
    }

    fn small() -> Network {
        let define = |b: &Builder| -> Result<Box<dyn Module>> {
            let config = ConvConfig::same(3, 1, Init::TorchDefault);
            Ok(Box::new(Small {
                conv: conv2d(&b.pp("conv"), 2, 3, 3, config)?,
                norm: batch_norm2d(&b.pp("norm"), 3)?,
                dropout: dropout(&b.pp("dropout"), 0.3)?,
                linear: linear(&b.pp("linear"), 3 * 16, 4, Init::TorchDefault)?,
            }))
        };
        Network::build(1, DType::F32, &Device::Cpu, None, define).unwrap()
    }

    #[test]
    fn a_recorded_training_is_the_training() {
        on_host(|| {
            let (recorded, plain) = (small(), small());
            for batch in 0..4 {
                let shape = [5, 2, 4, 4];
                let x =
                    Tensor::from_vec(numbers(&shape, batch, 1.0), &shape, &Device::Cpu).unwrap();
                let (labels, plan) = ([0, 1, 2, 3, batch as u32], LinearPlan::none());
                let at = Coordinates {
                    seed: 3,
                    epoch: 1,
                    batch,
                };
                let tape = Tape::new(Pass::training(plan.clone(), at));
                let logits = plain.forward(&tape, &tape.input(&x)).unwrap();
                let (losses, gradient) =
                    cross_entropy::queue(logits.tensor(), &labels, 0.2).unwrap();
                let gradients = tape.backward(&logits, gradient).unwrap();
                let found = training(&recorded, &plan, &x, &labels, at).unwrap();
                assert_eq!(found.is_some(), batch > 0);
                if let Some(found) = found {
                    assert_eq!(flat(&found.logits), flat(logits.tensor()));
                    assert_eq!(found.losses.read().unwrap(), losses.read().unwrap());
                    for param in plain.parameters() {
                        let of = |gradients: &Gradients| flat(gradients.parameter(param).unwrap());
                        assert_eq!(of(&found.gradients), of(&gradients), "{}", param.name());
                    }
                } else {
                    // Its first time the pass is the caller's to compute.
                    let tape = Tape::new(Pass::training(plan, at));
                    recorded.forward(&tape, &tape.input(&x)).unwrap();
                }
                let pairs = plain.buffers().iter().zip(recorded.buffers());
                pairs.for_each(|(a, b)| assert_eq!(flat(a.tensor()), flat(b.tensor())));
                // An evaluation in between sees the statistics as they are.
                for network in [&plain, &recorded] {
                    let found = logits_of(network, &x);
                    assert_eq!(found, flat(&network.function().logits(&x).unwrap()));
                    for param in network.parameters() {
                        param.set(&(param.tensor() * 0.9).unwrap()).unwrap();
                    }
                }
            }
        });
    }

    fn logits_of(network: &Network, x: &Tensor) -> Vec<f32> {
        flat(&network.logits(x).unwrap())
    }
}
