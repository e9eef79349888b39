//! FMN, the fast minimum-norm attack (Pintor et al., arXiv 2102.12827): follows the boundary of the label's region to a near
//! point of it, in a ball whose radius is drawn in while the image is misclassified and let out while it is not. DDN (Rony et
//! al., arXiv 1811.09600) is its forerunner in the l2 norm.

use std::f64::consts::PI;

use candle_core::{Device, Tensor};

use super::ball::{distance, into_l2, into_linf, length};
use super::craft::predictions;
use super::objective::rivals;
use super::settings::{Making, Settings};
use super::{Attack, Norm, Objective, Originals, Threat, Victim};
use crate::ops::Real;
use crate::ops::device::bring;
use crate::ops::logit_score::Score;
use crate::ops::parallel::{chunk, chunks_mut};
use crate::ops::perturbation::{image_len, plane_len};
use crate::ops::real::{tensor, view};
use crate::spec::range::{InnerShare, Positive};
use crate::spec::{Iterations, section};
use crate::{Result, with_real};

/// What is left of the length of a step at the end.
const LAST_STEP: f64 = 0.01;
/// What is left of the radius' change at the end.
const LAST_CHANGE: f64 = 0.02;

section! {
    /// The settings of FMN.
    FmnSettings {
        /// Number of steps; default 100.
        k: usize [as Iterations, or 100] smoke 2,
        /// Euclidean length of the first step, alpha in the paper, pixels in [0, 1]; falls to a hundredth along a cosine; default 1.
        first_step_size: f64 [as Positive, or 1.0],
        /// Share by which the radius changes after the first step, gamma in the paper; falls to a fiftieth along a cosine; default 0.05.
        radius_change: f64 [as InnerShare, or 0.05],
    }
}

impl Settings for FmnSettings {
    const NAME: &'static str = "fmn";
    const ABOUT: &'static str = "k steps along the boundary to a near point of it";
    const PAPER: &'static str = "Pintor et al., 2021, arXiv 2102.12827";

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Fmn {
            threat: making.threat,
            k: self.k,
            first_step_size: self.first_step_size,
            radius_change: self.radius_change,
        })])
    }
}

/// `k` steps up the margin of the likeliest wrong class. Whatever it finds outside the ball is no success: the original is
/// returned.
pub struct Fmn {
    pub threat: Threat,
    pub k: usize,
    /// Euclidean length of the first step.
    pub first_step_size: f64,
    /// Share by which the radius changes after the first step, below 1.
    pub radius_change: f64,
}

/// One example of a run.
struct Walker {
    /// Of the ball that holds the next point.
    radius: f64,
    /// The distance of the nearest misclassified point.
    nearest: f64,
    /// The distance of the farthest image.
    farthest: f64,
}

impl Fmn {
    fn walk<T: Real>(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Vec<T>> {
        let Originals { images, labels, .. } = originals;
        let (image, plane) = (image_len(images)?, plane_len(images)?);
        let Threat { norm, epsilon } = self.threat;
        let origin = &*view::<T>(images)?;
        let (mut x, mut result) = (origin.to_vec(), origin.to_vec());
        let walkers = (0..labels.len()).map(|i| {
            let origin = chunk(origin, image, i);
            let far: Vec<T> = origin
                .iter()
                .map(|&o| if o.wide() < 0.5 { T::ONE } else { T::ZERO })
                .collect();
            Walker {
                radius: 0.0,
                nearest: f64::INFINITY,
                farthest: distance(norm, &far, origin, plane),
            }
        });
        let mut walkers: Vec<Walker> = walkers.collect();
        for step in 0..self.k {
            let cosine = 0.5 * (1.0 + (PI * step as f64 / self.k as f64).cos());
            let annealed = |first: f64, last: f64| first * (last + (1.0 - last) * cosine);
            let step_size = annealed(self.first_step_size, LAST_STEP);
            let change = annealed(self.radius_change, LAST_CHANGE);
            let ascent = victim.gradient(&tensor(x.clone(), images.shape())?, |logits| {
                let rivals = rivals(logits, labels)?;
                let likeliest: Vec<u32> = rivals.iter().map(|others| others[0]).collect();
                Objective::Score(Score::Margin).evaluate(logits, labels, Some(&likeliest))
            })?;
            let found = predictions(&ascent.logits)?;
            let gradient = &*view::<T>(&ascent.gradient)?;
            for (i, walker) in walkers.iter_mut().enumerate() {
                let point = chunk(&x, image, i);
                let far = distance(norm, point, chunk(origin, image, i), plane);
                let is_misclassified = found[i] != labels[i];
                if is_misclassified && far < walker.nearest {
                    walker.nearest = far;
                    if far <= epsilon {
                        result[i * image..][..image].copy_from_slice(point);
                    }
                }
                let radius = if is_misclassified {
                    walker.nearest.min(walker.radius * (1.0 - change))
                } else if walker.nearest.is_finite() {
                    walker.radius * (1.0 + change)
                } else {
                    // To where the boundary, made straight by its gradient, is met. The paper leaves it at that; where it
                    // is straight indeed, or pixels are at the ends of their range, no step would ever cross it.
                    let gradient = chunk(gradient, image, i).iter();
                    let dual = match norm {
                        Norm::L2 => length(gradient.copied()),
                        Norm::Linf | Norm::ChannelLinf(_) => gradient.map(|g| g.wide().abs()).sum(),
                    };
                    let straight = far + ascent.loss.per_example[i].abs() / dual.max(1e-12);
                    straight.max(walker.radius * (1.0 + change))
                };
                walker.radius = radius.min(walker.farthest);
            }
            chunks_mut(&mut x, image, &|i, x| {
                let (origin, gradient) = (chunk(origin, image, i), chunk(gradient, image, i));
                let scale = T::of(step_size / length(gradient.iter().copied()).max(1e-12));
                for (x, &g) in x.iter_mut().zip(gradient) {
                    *x += scale * g;
                }
                let radius = walkers[i].radius;
                match norm {
                    Norm::L2 => into_l2(x, origin, radius),
                    Norm::Linf | Norm::ChannelLinf(_) => {
                        let radius = T::of(radius);
                        x.iter_mut()
                            .zip(origin)
                            .for_each(|(x, &o)| *x = into_linf(*x, o, radius));
                    }
                }
            });
        }
        Ok(result)
    }
}

impl Attack for Fmn {
    fn name(&self) -> &'static str {
        FmnSettings::NAME
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        self.threat.refuse_channels(self.name())?;
        let images = &bring(originals.images, &Device::Cpu)?;
        let moved = Originals {
            images,
            ..originals
        };
        let found = with_real!(images.dtype(), T => {
            tensor(self.walk::<T>(victim, moved)?, images.shape())
        })?;
        bring(&found, originals.images.device())
    }
}
