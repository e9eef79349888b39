//! Passes that a card repeats: recorded at their second time, and from then on one start does what hundreds did.
//!
//! Attacks run the same pass thousands of times, with other numbers in tensors of the same shapes. Starting each kernel
//! costs the host more than many a kernel costs the card; a recording is started as a whole. It reads the weights where
//! they are, so that it stays right while they are trained. Passes in training mode are not recorded: their dropout masks
//! and running statistics are others each time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use candle_core::Tensor;

use super::network::{Function, Network};
use super::pass::{Coordinates, LinearPlan, Mode, Pass};
use super::tape::Tape;
use crate::ops::card::{Recording, card_at};
use crate::ops::cross_entropy;
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
    CrossEntropy { plan: LinearPlan, weight: f64 },
}

/// A recorded pass, with the tensors that it reads from and writes to.
struct Recorded {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
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
        Ok(vec![function.logits(&inputs[0])?])
    })?;
    Ok(outputs.and_then(|mut outputs| outputs.pop()))
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
    let Some(card) = card_at(network.device())? else {
        return Ok(None);
    };
    let labels = Tensor::from_slice(labels, labels.len(), card.device())?;
    let (kind, plan) = (
        Kind::CrossEntropy {
            plan: plan.clone(),
            weight,
        },
        plan.clone(),
    );
    let outputs = replayed(
        network,
        kind,
        &[images, &labels],
        move |function, inputs| {
            let pass = Pass::attack(plan.clone(), Mode::Eval, Coordinates::default());
            let tape = Tape::new(pass);
            let logits = function.forward(&tape, &tape.input(&inputs[0]))?;
            let (_, gradient) = cross_entropy::queue_for(logits.tensor(), &inputs[1], weight)?;
            Ok(vec![tape.backward(&logits, gradient)?.input()?])
        },
    )?;
    Ok(outputs.and_then(|mut outputs| outputs.pop()))
}

/// Runs a recorded pass on other inputs; at a pass's second time it is computed as always, and recorded.
fn replayed(
    network: &Network,
    kind: Kind,
    inputs: &[&Tensor],
    pass: impl Fn(&Function, &[Tensor]) -> Result<Vec<Tensor>> + 'static,
) -> Result<Option<Vec<Tensor>>> {
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
            recorded.recording.replay()?;
            Ok(Some(copies(&recorded.outputs)?))
        }
        Some(Known::Once) => {
            let inputs: Vec<Tensor> = inputs
                .iter()
                .map(|t| t.force_contiguous())
                .collect::<Result<_, _>>()?;
            let found = pass(function, &inputs)?;
            let outputs = copies(&found)?;
            let (weak, own, results) = (Arc::downgrade(function), inputs.clone(), outputs.clone());
            let work = move || {
                let function = weak.upgrade();
                let function =
                    function.ok_or_else(|| Error::failed("a pass of a network that is gone"))?;
                for (result, found) in results.iter().zip(pass(&function, &own)?) {
                    result.slice_set(&found, 0, 0)?;
                }
                Ok(())
            };
            let state = match card.record(Box::new(work)) {
                Ok(recording) => Known::Recorded(Rc::new(Recorded {
                    inputs,
                    outputs,
                    recording,
                })),
                Err(error) => {
                    tracing::debug!(%error, "a pass is not recorded and stays slower");
                    Known::Refused
                }
            };
            remember(function, key, state);
            Ok(Some(found))
        }
    }
}

fn copies(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(tensors
        .iter()
        .map(Tensor::force_contiguous)
        .collect::<Result<_, _>>()?)
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
    use crate::ops::card::host::{numbers, on_host};
    use candle_core::Device;

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
}
