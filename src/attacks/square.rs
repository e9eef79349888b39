//! The Square attack (Andriushchenko et al., arXiv 1912.00049): random search over squares, by logits alone.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::ball::into_linf;
use super::craft::predictions;
use super::rows::keep;
use super::settings::{Making, Settings};
use super::square_window::{Window, propose_l2, random_sign, start_l2};
use super::{Attack, Norm, Originals, Threat, Victim};
use crate::ops::Real;
use crate::ops::device::bring;
use crate::ops::parallel::{chunk, chunks_mut, chunks_mut2};
use crate::ops::perturbation::image_len;
use crate::ops::real::{scratch, tensor, view};
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

/// A square of one sign a channel, at the border of the ball.
fn propose_linf<T: Real>(
    origin: &[T],
    epsilon: f64,
    window: Window,
    [c, h, w]: [usize; 3],
    rng: &mut ChaCha8Rng,
    out: &mut [T],
) {
    for channel in 0..c {
        let change = T::of(epsilon * random_sign(rng));
        for row in window.top..window.top + window.side {
            let line = (channel * h + row) * w;
            for k in line + window.left..line + window.left + window.side {
                out[k] = into_linf(origin[k] + change, origin[k], T::of(epsilon));
            }
        }
    }
}

impl Square {
    /// The images of the smallest margins, and how many the model was asked about for each.
    fn search<T: Real>(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<(Vec<T>, Vec<usize>)> {
        let Originals {
            images,
            labels,
            indices,
            start,
            ..
        } = originals;
        let (n, c, h, w) = images.dims4()?;
        let (image, shape, epsilon) = (image_len(images)?, [c, h, w], self.threat.epsilon);
        let l2 = self.threat.norm == Norm::L2;
        let mut result = view::<T>(images)?.to_vec();
        let mut asked = vec![0; n];
        let mut origin = result.clone();
        let mut searches: Vec<Search> = (0..n)
            .map(|row| Search {
                row,
                rng: start.rng(Purpose::AttackSearch, indices[row]),
                margin: f64::INFINITY,
            })
            .collect();
        let mut best = scratch::<T>(result.len());
        chunks_mut2(&mut best, &mut searches, (image, 1), &|i, out, search| {
            let (origin, rng) = (chunk(&origin, image, i), &mut search[0].rng);
            if l2 {
                start_l2(origin, epsilon, shape, rng, out);
            } else {
                start_linf(origin, epsilon, shape, rng, out);
            }
        });
        let mut proposal = best.clone();
        // Proposal 0 is the start, which every example takes.
        for query in 0..=self.queries {
            if query > 0 {
                let share = share(query - 1, self.queries, self.schedule);
                chunks_mut(&mut proposal, image, &|i, out| {
                    out.copy_from_slice(chunk(&best, image, i))
                });
                chunks_mut2(
                    &mut proposal,
                    &mut searches,
                    (image, 1),
                    &|i, out, search| {
                        let (origin, rng) = (chunk(&origin, image, i), &mut search[0].rng);
                        if l2 {
                            propose_l2(origin, epsilon, share, shape, rng, out);
                        } else {
                            let side = (share * (h * w) as f64).sqrt().round() as usize;
                            let window = Window::random(side.clamp(1, h.min(w)), h, w, rng);
                            propose_linf(origin, epsilon, window, shape, rng, out);
                        }
                    },
                );
            }
            let labels: Vec<u32> = searches.iter().map(|search| labels[search.row]).collect();
            let logits = victim.logits(&tensor(proposal.clone(), (searches.len(), c, h, w))?)?;
            let (margins, found) = (margins(&logits, &labels)?, predictions(&logits)?);
            let mut standing = Vec::with_capacity(searches.len());
            for (position, search) in searches.iter_mut().enumerate() {
                asked[search.row] = query + 1;
                if margins[position] < search.margin {
                    search.margin = margins[position];
                    let span = position * image..(position + 1) * image;
                    best[span.clone()].copy_from_slice(&proposal[span.clone()]);
                    result[search.row * image..][..image].copy_from_slice(&proposal[span]);
                }
                if found[position] == labels[position] {
                    standing.push(position);
                }
            }
            if standing.len() < searches.len() {
                let buffers = &mut [&mut best, &mut origin, &mut proposal];
                keep(&standing, image, buffers, &mut searches);
            }
            if searches.is_empty() {
                break;
            }
        }
        Ok((result, asked))
    }
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
        let images = &bring(originals.images, &Device::Cpu)?;
        let originals = Originals {
            images,
            ..originals
        };
        self.threat.refuse_channels(self.name())?;
        with_real!(images.dtype(), T => {
            let (found, asked) = self.search::<T>(victim, originals)?;
            Ok((tensor(found, images.shape())?, Some(asked)))
        })
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
