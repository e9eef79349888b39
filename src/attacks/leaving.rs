//! Steps that images leave before the last one: because the attack has succeeded, where the spec asks for no more, or because their
//! iterates come in a circle, so that the last one is known.

use std::collections::HashMap;

use candle_core::Tensor;

use super::craft::succeeds;
use super::rows::keep;
use super::{Originals, Steps, Victim};
use crate::Result;
use crate::ops::Real;
use crate::ops::device::bring;
use crate::ops::real::view;
use crate::ops::rows::{copy, put, select};
use crate::with_real;

/// An image under way.
struct Walker {
    /// Its place in the batch.
    row: usize,
    label: u32,
    target_class: Option<u32>,
    /// The iterates so far, by their hash, each with its number.
    seen: HashMap<[u8; 16], usize>,
    /// The step before which it leaves, where its iterates come in a circle.
    leaves: Option<usize>,
}

impl Walker {
    /// Notes the iterate before step `step` of `k`. Where it was there before, the iterates from then on come again and again, and
    /// the one after as many more steps as are left over from whole circles is the last.
    fn note(&mut self, iterate: &[u8], step: usize, k: usize) {
        if self.leaves.is_some() {
            return;
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(iterate).as_bytes()[..16]);
        if let Some(before) = self.seen.insert(hash, step) {
            self.leaves = Some(step + (k - step) % (step - before));
        }
    }

    fn is_broken(&self, answer: u32) -> bool {
        succeeds(answer, self.label, self.target_class)
    }
}

/// The images under way, their iterates and originals, row by row.
struct Walkers {
    walkers: Vec<Walker>,
    iterates: Tensor,
    originals: Tensor,
}

impl Walkers {
    /// Has those leave that `is_done` says, their iterates written to `ends`; gives the places of the others.
    fn leave(
        &mut self,
        ends: &Tensor,
        is_done: impl Fn(usize, &Walker) -> bool,
    ) -> Result<Vec<usize>> {
        let all = self.walkers.iter().enumerate();
        let (done, left): (Vec<_>, Vec<_>) =
            all.partition(|(place, walker)| is_done(*place, walker));
        let done: Vec<(usize, usize)> = done
            .iter()
            .map(|(place, walker)| (*place, walker.row))
            .collect();
        let left: Vec<usize> = left.iter().map(|(place, _)| *place).collect();
        if done.is_empty() {
            return Ok(left);
        }
        put(ends, &self.iterates, &done)?;
        let tensors = &mut [&mut self.iterates, &mut self.originals];
        keep(&left, tensors, &mut self.walkers)?;
        Ok(left)
    }

    fn note(&mut self, step: usize, k: usize) -> Result<()> {
        let len = self.iterates.elem_count() / self.walkers.len();
        with_real!(self.iterates.dtype(), T => {
            let values = &*view::<T>(&self.iterates)?;
            for (walker, iterate) in self.walkers.iter_mut().zip(values.chunks(len)) {
                let bytes = iterate.iter().flat_map(|value| value.wide().to_le_bytes());
                walker.note(&bytes.collect::<Vec<u8>>(), step, k);
            }
            Ok(())
        })
    }
}

impl Steps {
    /// The attack of plain steps: each image as all steps would leave it, or, where `self.early_stop` asks for it, as the first
    /// step left it that succeeds. Beside the images, the steps until the answer first was what the attack wants.
    pub(super) fn perturb_leaving(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Tensor, Vec<usize>)> {
        let target_classes = self.target_classes(victim, originals)?;
        // From the first step to the last where the network is.
        let images = bring(originals.images, victim.network.device())?;
        let x = self.first(&images, originals)?;
        let ends = copy(&x)?;
        let labels = originals.labels.iter().enumerate();
        let mut under_way = Walkers {
            walkers: labels
                .map(|(row, &label)| Walker {
                    row,
                    label,
                    target_class: target_classes.as_ref().map(|classes| classes[row]),
                    seen: HashMap::new(),
                    leaves: None,
                })
                .collect(),
            iterates: x,
            originals: images,
        };
        // A card is not waited for to look at iterates.
        let is_here = victim.network.device().is_cpu();
        let mut steps = vec![self.k; originals.labels.len()];
        let mut gradients = 0;
        for step in 0..self.k {
            if is_here {
                under_way.note(step, self.k)?;
            }
            under_way.leave(&ends, |_, walker| walker.leaves == Some(step))?;
            let walkers = &under_way.walkers;
            if walkers.is_empty() {
                break;
            }
            gradients += walkers.len();
            let labels: Vec<u32> = walkers.iter().map(|walker| walker.label).collect();
            let targets: Option<Vec<u32>> =
                walkers.iter().map(|walker| walker.target_class).collect();
            let targets = targets.as_deref();
            let x = &under_way.iterates;
            let (mut gradient, answers) =
                victim.answered_gradient(x, self.objective, &labels, targets)?;
            let broken = |place: usize, walker: &Walker| walker.is_broken(answers[place]);
            for (place, walker) in walkers.iter().enumerate() {
                if broken(place, walker) {
                    steps[walker.row] = steps[walker.row].min(step);
                }
            }
            if self.early_stop {
                let left = under_way.leave(&ends, broken)?;
                if left.is_empty() {
                    break;
                }
                if left.len() < answers.len() {
                    gradient = select(&gradient, &left)?;
                }
            }
            let Walkers {
                iterates,
                originals,
                ..
            } = &under_way;
            under_way.iterates =
                self.threat
                    .step(iterates, originals, &gradient, self.step_size)?;
        }
        under_way.leave(&ends, |_, _| true)?;
        let of = originals.labels.len() * self.k;
        tracing::info!(attack = self.name, gradients, of, "gradients of images");
        Ok((bring(&ends, originals.images.device())?, steps))
    }
}
