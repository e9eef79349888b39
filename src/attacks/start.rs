//! Where the random numbers of an attack come from: pure functions of the example, never of how examples are batched.

#[cfg(any(feature = "cuda", test))]
use candle_core::Device;
use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::ball::{direction, into_l2, into_linf};
use super::threat::{image_len, plane_len};
use super::{Norm, Threat};
use crate::ops::Real;
#[cfg(any(feature = "cuda", test))]
use crate::ops::cuda::Card;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::place::on_card;
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
    /// The place of the attack among those of an ensemble.
    pub attack: u16,
    /// The number of the restart.
    pub restart: u16,
    /// The number of the target class, in attacks that try several.
    pub target: u16,
}

impl Start {
    /// The generator of the example at `index`.
    pub(super) fn rng(&self, purpose: Purpose, index: usize) -> ChaCha8Rng {
        stream(self.seed, purpose, self.epoch, self.place(), index as u64)
    }

    /// All that an epoch has several of, in one number.
    pub(crate) fn place(&self) -> u64 {
        [self.round, self.attack, self.restart, self.target]
            .iter()
            .rev()
            .fold(0, |place, &part| place << 16 | u64::from(part))
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
        on_card!(originals, card => self.start_on_card(card, originals, indices, start));
        self.random_start_here(originals, indices, start)
    }

    /// [`Self::random_start`] for originals on a card. In l2 the numbers are drawn on the CPU: each normal number depends on
    /// how many words those before it took.
    #[cfg(any(feature = "cuda", test))]
    fn start_on_card(
        &self,
        card: &dyn Card,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
    ) -> Result<Tensor> {
        if self.norm == Norm::L2 {
            let moved = originals.to_device(&Device::Cpu)?;
            return Ok(self
                .random_start_here(&moved, indices, start)?
                .to_device(card.device())?);
        }
        let places: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let places = Tensor::from_vec(places, indices.len(), card.device())?;
        super::on_card::start::random_start(card, *self, originals, &places, start)
    }

    /// [`Self::random_start`] on the CPU.
    fn random_start_here(
        &self,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
    ) -> Result<Tensor> {
        let (image, plane) = (image_len(originals)?, plane_len(originals)?);
        with_real!(originals.dtype(), T => {
            let o = &*view::<T>(originals)?;
            let mut out = scratch::<T>(o.len());
            chunks_mut(&mut out, image, &|i, out| {
                let o = chunk(o, image, i);
                let mut rng = start.rng(Purpose::AttackStart, indices[i]);
                match self.norm {
                    Norm::Linf | Norm::ChannelLinf(_) => {
                        for (k, (y, &o)) in out.iter_mut().zip(o).enumerate() {
                            let share = 2.0 * f64::from(rng.random::<f32>()) - 1.0;
                            let epsilon = self.epsilon * self.norm.unit(k / plane);
                            *y = into_linf(o + T::of(epsilon * share), o, T::of(epsilon));
                        }
                    }
                    Norm::L2 => {
                        // The density of the radius grows with the surface of its sphere.
                        let direction = direction(self.norm, &mut rng, o.len());
                        let radius = rng.random::<f64>().powf(1.0 / o.len() as f64) * self.epsilon;
                        for ((y, &o), &d) in out.iter_mut().zip(o).zip(&direction) {
                            *y = o + T::of(d * radius);
                        }
                        into_l2(out, o, self.epsilon);
                    }
                }
            });
            tensor(out, originals.shape())
        })
    }

    /// The originals, each moved `share` of the radius along a random direction, within the pixel range.
    pub(super) fn border_start(
        &self,
        originals: &Tensor,
        indices: &[usize],
        start: Start,
        share: f64,
    ) -> Result<Tensor> {
        let image = image_len(originals)?;
        with_real!(originals.dtype(), T => {
            let o = &*view::<T>(originals)?;
            let mut out = scratch::<T>(o.len());
            chunks_mut(&mut out, image, &|i, out| {
                let o = chunk(o, image, i);
                let mut rng = start.rng(Purpose::AttackStart, indices[i]);
                let direction = direction(self.norm, &mut rng, o.len());
                for ((y, &o), &d) in out.iter_mut().zip(o).zip(&direction) {
                    *y = into_linf(o + T::of(self.epsilon * share * d), o, T::of(self.epsilon));
                }
            });
            tensor(out, originals.shape())
        })
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
