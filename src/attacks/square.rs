//! The Square attack (Andriushchenko et al., arXiv 1912.00049): random search over squares, by logits alone.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::ball::into_linf;
use super::craft::predictions;
use super::rows::keep;
use super::settings::{Making, Settings};
use super::square_window::{propose_l2, random_sign, random_window, start_l2};
use super::{Attack, Norm, Originals, Threat, Victim};
use crate::ops::Real;
use crate::ops::device::bring;
use crate::ops::parallel::{chunk, chunks_mut2};
use crate::ops::perturbation::image_len;
use crate::ops::real::{tensor, view};
use crate::ops::rows::{copy, put};
use crate::ops::square::{Proposal, propose};
use crate::rng::Purpose;
use crate::spec::{Count, Restarts, section};
use crate::{Result, with_real};

/// The share of an image that the first squares cover: AutoAttack's, for both norms. The paper of the Square attack
/// itself takes 0.05 for linf and 0.1 for l2 on ImageNet, and larger ones against models that were trained adversarially.
const FIRST_SHARE: f64 = 0.8;
/// The queries that the paper's schedule is written for.
const PUBLISHED_QUERIES: f64 = 10_000.0;

section! {
    /// The settings of Square.
    SquareSettings {
        /// Proposals for each example; default 5000.
        n_queries: usize [as Count, or 5000] smoke 10,
        /// Searches on each example, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
    }
}

impl Settings for SquareSettings {
    const NAME: &'static str = "square";
    const ABOUT: &'static str = "random search over squares, by logits alone";
    const PAPER: &'static str = "Andriushchenko et al., 2020, arXiv 1912.00049";
    const HAS_GRADIENTS: bool = false;

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Square {
            threat: making.threat,
            queries: self.n_queries,
            restarts: self.restarts,
            schedule: match making.in_ensemble {
                true => Schedule::Published,
                false => Schedule::OfQueries,
            },
        })])
    }
}

/// Up to `queries` proposals an example after the first, each taken if the margin shrinks.
pub struct Square {
    pub threat: Threat,
    pub queries: usize,
    pub restarts: usize,
    pub schedule: Schedule,
}

/// After which proposals squares are halved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the paper's numbers, those of a search of 10,000 queries, however many there are: the standard version of
    /// AutoAttack, which takes 5000.
    Published,
    /// At the same shares of as many queries as there are.
    OfQueries,
}

/// One example's search.
struct Search {
    /// Its position in the batch.
    row: usize,
    rng: ChaCha8Rng,
    /// The smallest `z_y - max z_other` so far.
    margin: f64,
}

/// The share of the image that a square of proposal `query` covers.
fn share(query: usize, queries: usize, schedule: Schedule) -> f64 {
    let at = match schedule {
        Schedule::Published => query as f64,
        Schedule::OfQueries => query as f64 / queries as f64 * PUBLISHED_QUERIES,
    };
    let halvings = [
        10.0, 50.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0, 8000.0,
    ];
    let passed = halvings.iter().filter(|&&bound| at.floor() > bound).count();
    FIRST_SHARE / f64::from(1u32 << passed)
}

/// `z_y - max z_other` of each row: negative where the label has lost.
fn margins(logits: &Tensor, labels: &[u32]) -> Result<Vec<f64>> {
    let (_, classes) = logits.dims2()?;
    with_real!(logits.dtype(), T => {
        let z = &*view::<T>(logits)?;
        Ok(z.chunks_exact(classes)
            .zip(labels)
            .map(|(row, &label)| {
                let others = row.iter().enumerate().filter(|(class, _)| *class != label as usize);
                let other = others.fold(f64::NEG_INFINITY, |max, (_, v)| max.max(v.wide()));
                row[label as usize].wide() - other
            })
            .collect())
    })
}

/// The first proposal in the linf norm: stripes of one column, each at the border of the ball.
fn start_linf<T: Real>(
    origin: &[T],
    epsilon: f64,
    [c, h, w]: [usize; 3],
    rng: &mut ChaCha8Rng,
    out: &mut [T],
) {
    for channel in 0..c {
        for column in 0..w {
            let change = T::of(epsilon * random_sign(rng));
            for row in 0..h {
                let k = (channel * h + row) * w + column;
                out[k] = into_linf(origin[k] + change, origin[k], T::of(epsilon));
            }
        }
    }
}

/// A square of one sign a channel, drawn at random.
fn random_square(share: f64, [c, h, w]: [usize; 3], rng: &mut ChaCha8Rng) -> Proposal {
    let side = (share * (h * w) as f64).sqrt().round() as usize;
    let window = random_window(side.clamp(1, h.min(w)), h, w, rng);
    let up = (0..c).map(|_| random_sign(rng) > 0.0).collect();
    Proposal { window, up }
}

impl Square {
    /// The first proposals, made on the CPU.
    fn first(&self, origin: &Tensor, searches: &mut [Search]) -> Result<Tensor> {
        let (_, c, h, w) = origin.dims4()?;
        let epsilon = self.threat.epsilon;
        let l2 = self.threat.norm == Norm::L2;
        with_real!(origin.dtype(), T => {
            on_cpu::<T>(origin, origin, searches, &|origin, rng, out| match l2 {
                true => start_l2(origin, epsilon, [c, h, w], rng, out),
                false => start_linf(origin, epsilon, [c, h, w], rng, out),
            })
        })
    }

    /// The next proposals: those in l2 are made on the CPU, those in linf where the images are.
    fn next(
        &self,
        best: &Tensor,
        origin: &Tensor,
        share: f64,
        searches: &mut [Search],
    ) -> Result<Tensor> {
        let (_, c, h, w) = origin.dims4()?;
        let (shape, epsilon) = ([c, h, w], self.threat.epsilon);
        if self.threat.norm == Norm::L2 {
            return with_real!(origin.dtype(), T => {
                on_cpu::<T>(best, origin, searches, &|origin, rng, out| {
                    propose_l2(origin, epsilon, share, shape, rng, out);
                })
            });
        }
        let rngs = searches.iter_mut().map(|search| &mut search.rng);
        let squares: Vec<Proposal> = rngs.map(|rng| random_square(share, shape, rng)).collect();
        propose(best, origin, &squares, epsilon)
    }

    /// The images of the smallest margins, and how many the model was asked about for each.
    fn search(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Tensor, Vec<usize>)> {
        let Originals { indices, start, .. } = originals;
        // From the first query to the last where the network is.
        let mut origin = bring(originals.images, victim.network.device())?;
        let result = copy(&origin)?;
        let mut asked = vec![0; indices.len()];
        let searches = indices.iter().enumerate().map(|(row, &index)| Search {
            row,
            rng: start.rng(Purpose::AttackSearch, index),
            margin: f64::INFINITY,
        });
        let mut searches: Vec<Search> = searches.collect();
        let mut best = self.first(&origin, &mut searches)?;
        // Proposal 0 is the start, which every example takes.
        for query in 0..=self.queries {
            let proposal = match query {
                0 => copy(&best)?,
                _ => {
                    let share = share(query - 1, self.queries, self.schedule);
                    self.next(&best, &origin, share, &mut searches)?
                }
            };
            let labels = searches.iter().map(|search| originals.labels[search.row]);
            let labels: Vec<u32> = labels.collect();
            let logits = victim.logits(&proposal)?.to_device(&Device::Cpu)?;
            let (margins, found) = (margins(&logits, &labels)?, predictions(&logits)?);
            let (mut taken, mut ends, mut standing) = (Vec::new(), Vec::new(), Vec::new());
            for (position, search) in searches.iter_mut().enumerate() {
                asked[search.row] = query + 1;
                if margins[position] < search.margin {
                    search.margin = margins[position];
                    taken.push((position, position));
                    ends.push((position, search.row));
                }
                if found[position] == labels[position] {
                    standing.push(position);
                }
            }
            put(&best, &proposal, &taken)?;
            put(&result, &proposal, &ends)?;
            keep(&standing, &mut [&mut best, &mut origin], &mut searches)?;
            if searches.is_empty() {
                break;
            }
        }
        Ok((bring(&result, originals.images.device())?, asked))
    }
}

/// What `change` makes of an image, by its original and its random numbers.
type Change<'a, T> = dyn Fn(&[T], &mut ChaCha8Rng, &mut [T]) + Sync + 'a;

/// Copies of `images`, changed on the CPU.
fn on_cpu<T: Real>(
    images: &Tensor,
    originals: &Tensor,
    searches: &mut [Search],
    change: &Change<'_, T>,
) -> Result<Tensor> {
    let len = image_len(images)?;
    let [here, from] = [images, originals].map(|all| bring(all, &Device::Cpu));
    let (from, here) = (from?, here?);
    let from = &*view::<T>(&from)?;
    let mut changed = view::<T>(&here)?.to_vec();
    chunks_mut2(&mut changed, searches, (len, 1), &|i, out, search| {
        change(chunk(from, len, i), &mut search[0].rng, out);
    });
    bring(&tensor(changed, images.shape())?, images.device())
}

impl Attack for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn restarts(&self) -> usize {
        self.restarts
    }

    fn is_black_box(&self) -> bool {
        true
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        Ok(self.perturb_counting(victim, originals)?.0)
    }

    fn perturb_counting(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Tensor, Option<Vec<usize>>)> {
        self.threat.refuse_channels(self.name())?;
        let (found, asked) = self.search(victim, originals)?;
        Ok((found, Some(asked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_shrink_as_the_budget_goes() {
        let scaled = |query| share(query, 5000, Schedule::OfQueries);
        assert_eq!([scaled(0), scaled(5), scaled(6)], [0.8, 0.8, 0.4]);
        assert_eq!([scaled(101), scaled(4999)], [0.1, 0.8 / 512.0]);
    }

    #[test]
    fn the_published_schedule_does_not_depend_on_the_budget() {
        let published = |query| share(query, 5000, Schedule::Published);
        assert_eq!([published(10), published(11)], [0.8, 0.4]);
        assert_eq!([published(200), published(201)], [0.2, 0.1]);
        // Half of the paper's queries end two halvings earlier.
        assert_eq!(published(4999), 0.8 / 128.0);
    }
}
