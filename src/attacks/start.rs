//! Where the random numbers of an attack come from: pure functions of the example, never of how examples are batched.

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::Threat;
use super::ball::{direction, into_linf};
use crate::ops::Real;
use crate::ops::device::bring;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::image_len;
use crate::ops::random_start::{self, Draws};
use crate::ops::real::{scratch, tensor, view};
use crate::rng::{Purpose, stream};
use crate::{Result, with_real};

/// What random numbers depend on beside the example's position in the data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    pub seed: u64,
    pub epoch: u64,
    /// Tells apart the uses within an epoch: training and evaluation.
    pub round: u16,
    /// The position of the attack among those of an ensemble.
    pub attack: u16,
    /// The number of the restart.
    pub restart: u16,
    /// The number of the target class, in attacks that try several.
    pub target: u16,
}

impl Start {
    /// The generator of the example at `index`.
    pub(super) fn rng(&self, purpose: Purpose, index: usize) -> ChaCha8Rng {
        stream(self.seed, purpose, self.epoch, self.part(), index as u64)
    }

    /// What starting points are drawn by.
    fn draws(&self) -> Draws {
        Draws {
            seed: self.seed,
            epoch: self.epoch,
            part: self.part(),
        }
    }

    /// All that an epoch has several of, in one number.
    fn part(&self) -> u64 {
        [self.round, self.attack, self.restart, self.target]
            .iter()
            .rev()
            .fold(0, |all, &part| all << 16 | u64::from(part))
    }
}

impl Threat {
    /// The originals, each moved to a point drawn uniformly from its ball, within the pixel range.
    pub fn random_start(
        &self,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
    ) -> Result<Tensor> {
        random_start::uniform(originals, indices, *self, start.draws())
    }

    /// The originals, each value moved by normal noise of this deviation, within the ball and the pixel range. The noise is
    /// drawn on the CPU.
    pub fn normal_start(
        &self,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
        deviation: f64,
    ) -> Result<Tensor> {
        let image = image_len(originals)?;
        let mut noise = scratch::<f64>(originals.elem_count());
        chunks_mut(&mut noise, image, &|i, noise| {
            let draws = start.draws().rng(indices[i]).sample_iter(StandardNormal);
            for (value, draw) in noise.iter_mut().zip(draws) {
                let draw: f64 = draw;
                *value = deviation * draw;
            }
        });
        let noise = tensor(noise, originals.shape())?.to_dtype(originals.dtype())?;
        let moved = (originals + bring(&noise, originals.device())?)?;
        // A step of length 0 projects.
        self.step(&moved, originals, &originals.zeros_like()?, 0.0)
    }

    /// The originals, each moved `share` of the radius along a random direction, within the pixel range. The direction is drawn
    /// on the CPU.
    pub(super) fn border_start(
        &self,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
        share: f64,
    ) -> Result<Tensor> {
        let image = image_len(originals)?;
        let here = bring(originals, &Device::Cpu)?;
        let moved = with_real!(originals.dtype(), T => {
            let o = &*view::<T>(&here)?;
            let mut out = scratch::<T>(o.len());
            chunks_mut(&mut out, image, &|i, out| {
                let o = chunk(o, image, i);
                let mut rng = start.draws().rng(indices[i]);
                let direction = direction(self.norm, &mut rng, o.len());
                for ((y, &o), &d) in out.iter_mut().zip(o).zip(&direction) {
                    *y = into_linf(o + T::of(self.epsilon * share * d), o, T::of(self.epsilon));
                }
            });
            tensor(out, originals.shape())
        })?;
        bring(&moved, originals.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_start_changes_the_numbers() {
        let base = Start::default();
        let others = [
            Start { seed: 1, ..base },
            Start { epoch: 1, ..base },
            Start { round: 1, ..base },
            Start { attack: 1, ..base },
            Start { restart: 1, ..base },
            Start { target: 1, ..base },
        ];
        let first = |start: Start| start.rng(Purpose::AttackStart, 3).random::<u64>();
        assert!(others.iter().all(|&other| first(other) != first(base)));
        assert_eq!(first(base), first(base));
    }
}
