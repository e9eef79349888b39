//! What a card computes of weights and running statistics alone: once per change of theirs instead of once per pass.
//!
//! An attack of twenty steps goes forty times through the same weights. What they are turned into for the card stays where
//! it is, and is computed anew when a pass comes after a change. Whatever writes to weights or running statistics in place
//! says so by [`changed`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Tensor};

use super::Card;
use crate::Result;

/// Results that are kept. A network of 200 layers has about 600.
const MOST: usize = 4096;

/// What a result is computed of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Weights,
    /// Weights, and the running statistics beside them.
    Statistics,
}

static WEIGHTS: AtomicU64 = AtomicU64::new(0);
static STATISTICS: AtomicU64 = AtomicU64::new(0);

/// Says that weights or running statistics of some network are others than before.
pub fn changed(of: Of) {
    if of == Of::Weights {
        WEIGHTS.fetch_add(1, Ordering::Relaxed);
    }
    STATISTICS.fetch_add(1, Ordering::Relaxed);
}

type Compute = Box<dyn Fn(&dyn Card, &Tensor) -> Result<()>>;

/// A result at an address that stays.
pub struct Prepared {
    of: Of,
    result: Tensor,
    /// The number of changes that it knows of.
    seen: Cell<Option<u64>>,
    compute: Compute,
}

impl Prepared {
    /// Computes the result anew where something has changed.
    pub fn refresh(&self, card: &dyn Card) -> Result<()> {
        let changes = match self.of {
            Of::Weights => &WEIGHTS,
            Of::Statistics => &STATISTICS,
        };
        let now = changes.load(Ordering::Relaxed);
        if self.seen.get() != Some(now) {
            (self.compute)(card, &self.result)?;
            self.seen.set(Some(now));
        }
        Ok(())
    }
}

/// What tells results apart: the source's address, which stays its own as long as the result holds it.
type Key = (&'static str, u64, Vec<usize>, &'static str);

thread_local! {
    static KEPT: RefCell<HashMap<Key, Rc<Prepared>>> = RefCell::default();
    /// In a recording: the results that it reads.
    static READ: RefCell<Option<Vec<Rc<Prepared>>>> = const { RefCell::new(None) };
}

/// A tensor of `shape` and `dtype` that `compute` writes and that depends on `source`, and what `compute` holds beside it,
/// alone. Results of one `form`, source, shape and type are the same.
pub fn prepared(
    card: &dyn Card,
    (form, of): (&'static str, Of),
    source: &Tensor,
    (shape, dtype): (&[usize], DType),
    compute: impl Fn(&dyn Card, &Tensor) -> Result<()> + 'static,
) -> Result<Tensor> {
    let key = (form, card.address(source)?, shape.to_vec(), dtype.as_str());
    let kept = KEPT.with_borrow(|kept| kept.get(&key).cloned());
    let recording = READ.with_borrow(Option::is_some);
    let prepared = match kept {
        Some(prepared) => prepared,
        None => {
            let result = card.scratch(shape, dtype)?;
            if recording {
                // Memory of a recording is its own: the result goes with the pass.
                compute(card, &result)?;
                return Ok(result);
            }
            let source = source.clone();
            let prepared = Rc::new(Prepared {
                of,
                result,
                seen: Cell::new(None),
                compute: Box::new(move |card, result| {
                    let _held = &source;
                    compute(card, result)
                }),
            });
            KEPT.with_borrow_mut(|kept| {
                if kept.len() >= MOST {
                    kept.clear();
                }
                kept.insert(key, Rc::clone(&prepared));
            });
            prepared
        }
    };
    prepared.refresh(card)?;
    READ.with_borrow_mut(|read| {
        if let Some(read) = read {
            read.push(Rc::clone(&prepared));
        }
    });
    Ok(prepared.result.clone())
}

/// Runs `record` and returns with what it returns the results that are to be refreshed before each replay.
pub fn reading<R>(record: impl FnOnce() -> R) -> (R, Vec<Rc<Prepared>>) {
    READ.set(Some(Vec::new()));
    let done = record();
    (done, READ.take().unwrap_or_default())
}

/// Gives up all results, and with them the weights that they hold.
pub fn forget() {
    // A thread that ends has given them up already.
    let _ = KEPT.try_with(|kept| kept.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::card::host::{each_type, numbers};
    use crate::ops::conv::filters::card::to_channels_last;

    fn flat(tensor: &Tensor) -> Vec<f32> {
        let tensor = tensor.to_dtype(DType::F32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_result_stays_until_weights_change() {
        each_type(|card, dtype| {
            let weight = card.tensor(&numbers(&[4, 2, 3, 3], 1, 1.0), &[4, 2, 3, 3], DType::F32);
            let other = card.tensor(&numbers(&[4, 2, 3, 3], 2, 1.0), &[4, 2, 3, 3], DType::F32);
            let first = to_channels_last(card, &weight, dtype).unwrap();
            let before = flat(&first);
            weight.slice_set(&other, 0, 0).unwrap();
            changed(Of::Weights);
            let second = to_channels_last(card, &weight, dtype).unwrap();
            assert_eq!(
                card.address(&first).unwrap(),
                card.address(&second).unwrap()
            );
            let expected = to_channels_last(card, &other, dtype).unwrap();
            assert_eq!(flat(&second), flat(&expected));
            assert_ne!(flat(&second), before);
        });
    }

    #[test]
    fn a_recording_names_what_it_reads() {
        each_type(|card, dtype| {
            let make = |seed| {
                card.tensor(
                    &numbers(&[4, 2, 3, 3], seed, 1.0),
                    &[4, 2, 3, 3],
                    DType::F32,
                )
            };
            let (weight, new) = (make(1), make(2));
            to_channels_last(card, &weight, dtype).unwrap();
            let (result, read) = reading(|| {
                to_channels_last(card, &new, dtype).unwrap();
                to_channels_last(card, &weight, dtype).unwrap()
            });
            // What is new in a recording is its own.
            assert_eq!(read.len(), 1);
            weight.slice_set(&new, 0, 0).unwrap();
            changed(Of::Weights);
            read[0].refresh(card).unwrap();
            let expected = to_channels_last(card, &new, dtype).unwrap();
            assert_eq!(flat(&result), flat(&expected));
        });
    }
}
