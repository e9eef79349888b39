//! FAB, the fast adaptive boundary attack (Croce and Hein, arXiv 1907.02044): looks for the nearest misclassified point.

use candle_core::{Device, Tensor};

use super::apgd::few_steps;
use super::ball::{distance, into_pixels};
use super::craft::predictions;
use super::hyperplane::project;
use super::rows::keep;
use super::settings::{Making, Settings};
use super::target_classes::{InTurn, Towards, in_turn};
use super::{Attack, Norm, Objective, Originals, Threat, Victim};
use crate::nn::loss::Loss;
use crate::ops::Real;
use crate::ops::device::bring;
use crate::ops::logit_score::Score;
use crate::ops::parallel::{chunk, chunks_mut, map};
use crate::ops::perturbation::{image_len, plane_len};
use crate::ops::real::{scratch, tensor, view};
use crate::spec::{Count, Iterations, Restarts, section};
use crate::{Result, with_real};

/// How far a step overshoots the hyperplane.
const ETA: f64 = 1.05;
/// The share of the way to the original at which a misclassified point is left for the next one.
const BETA: f64 = 0.9;
/// The most that a step is drawn towards the original.
const ALPHA_MAX: f64 = 0.1;

section! {
    /// The settings of FAB.
    FabSettings {
        /// Number of steps; default 100.
        k: usize [as Iterations, or 100] smoke 2,
        /// Tries on each example, from the second on from random points, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
    }
    check(fields) {
        few_steps(fields, k, "fab");
    }
}

section! {
    /// The settings of FAB-T.
    FabTSettings {
        /// Number of steps towards each class; default 100.
        k: usize [as Iterations, or 100] smoke 2,
        /// Tries on each example, from the second on from random points, until one succeeds; default 1.
        restarts: usize [as Restarts, or 1] smoke 2,
        /// Wrong classes that it goes for, the likeliest first; default 9, or all where there are fewer.
        n_target_classes: Option<usize> [optional as Count],
    }
    check(fields) {
        few_steps(fields, k, "fab-t");
    }
}

impl Settings for FabSettings {
    const NAME: &'static str = "fab";
    const ABOUT: &'static str = "k steps to the nearest boundary of a class";
    const PAPER: &'static str = "Croce and Hein, 2020, arXiv 1907.02044";

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Fab {
            name: Self::NAME,
            threat: making.threat,
            k: self.k,
            restarts: self.restarts,
            target_classes: None,
            stop_at_success: making.in_ensemble,
        })])
    }
}

impl Settings for FabTSettings {
    const NAME: &'static str = "fab-t";
    const ABOUT: &'static str = "fab towards each of the likeliest wrong classes in turn";
    const PAPER: &'static str = "Croce and Hein, 2020, arXiv 1907.02044";

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        Ok(vec![Box::new(Fab {
            name: Self::NAME,
            threat: making.threat,
            k: self.k,
            restarts: self.restarts,
            target_classes: Some(making.target_classes(Self::NAME, self.n_target_classes)?),
            stop_at_success: making.in_ensemble,
        })])
    }
}

/// `k` steps, each to where the boundary of a class, made straight by its gradient, is met: from the present point and
/// from the original. Whatever it finds outside the ball is no success: the original is returned.
pub struct Fab {
    /// The name in result files.
    pub name: &'static str,
    pub threat: Threat,
    pub k: usize,
    /// Runs; from the second on they start from random points.
    pub restarts: usize,
    /// FAB-T: one run towards each of so many likeliest wrong classes, with one gradient per step. Without, each step takes
    /// the nearest of all classes, with as many gradients as there are wrong classes.
    pub target_classes: Option<usize>,
    /// Whether an example is left once it is misclassified within the ball, or the nearest such point is looked for.
    pub stop_at_success: bool,
}

/// One example of a run.
struct Walker {
    /// Its position in the batch.
    row: usize,
    /// The distance of the nearest misclassified point.
    nearest: f64,
}

/// The boundary that a step goes for: `z_t - z_y` there, and its gradient.
struct Boundary<T> {
    margins: Vec<f64>,
    gradients: Vec<T>,
}

impl Fab {
    /// The margins to the target classes, or to the nearest boundary among all classes.
    fn boundary<T: Real>(
        &self,
        victim: &Victim<'_>,
        x: &Tensor,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Boundary<T>> {
        let towards = |target_classes: &[u32]| {
            let margin = Objective::Score(Score::Margin);
            victim.ascend(x, margin, labels, Some(target_classes))
        };
        if let Some(target_classes) = target_classes {
            let ascent = towards(target_classes)?;
            return Ok(Boundary {
                margins: ascent.loss.per_example,
                gradients: view::<T>(&ascent.gradient)?.to_vec(),
            });
        }
        let image = image_len(x)?;
        let mut nearest = vec![f64::INFINITY; labels.len()];
        let mut found = Boundary {
            margins: vec![0.0; labels.len()],
            gradients: vec![T::ZERO; labels.len() * image],
        };
        let mut classes = 2;
        let mut number = 0;
        while number + 1 < classes {
            // The `number`-th class beside the label.
            let target_classes: Vec<u32> = labels
                .iter()
                .map(|&label| number as u32 + u32::from(number as u32 >= label))
                .collect();
            let ascent = towards(&target_classes)?;
            classes = ascent.logits.dim(1)?;
            let gradient = &*view::<T>(&ascent.gradient)?;
            let Loss {
                per_example: margins,
                ..
            } = ascent.loss;
            let far = map(labels.len(), &|i| {
                let logit_gradient = chunk(gradient, image, i).iter().map(|g| g.wide());
                let dual = match self.threat.norm {
                    Norm::L2 => logit_gradient.map(|g| g * g).sum::<f64>().sqrt(),
                    Norm::Linf | Norm::ChannelLinf(_) => logit_gradient.map(f64::abs).sum(),
                };
                margins[i].abs() / dual.max(1e-12)
            });
            for (i, far) in far.into_iter().enumerate() {
                if far < nearest[i] {
                    nearest[i] = far;
                    found.margins[i] = margins[i];
                    found.gradients[i * image..(i + 1) * image]
                        .copy_from_slice(chunk(gradient, image, i));
                }
            }
            number += 1;
        }
        Ok(found)
    }

    /// The next points: both projections overshot, the one from the original weighted by how near it is.
    fn step<T: Real>(&self, x: &[T], origin: &[T], boundary: &Boundary<T>, image: usize) -> Vec<T> {
        let mut next = scratch::<T>(x.len());
        chunks_mut(&mut next, image, &|i, out| {
            let (x, o) = (chunk(x, image, i), chunk(origin, image, i));
            let (w, margin) = (chunk(&boundary.gradients, image, i), boundary.margins[i]);
            let ahead: f64 = w
                .iter()
                .zip(o.iter().zip(x))
                .map(|(w, (o, x))| w.wide() * (o.wide() - x.wide()))
                .sum();
            let mut from_here = scratch::<T>(image);
            let mut from_origin = scratch::<T>(image);
            let norm = self.threat.norm;
            let here = project(norm, x, w, margin, &mut from_here).max(1e-8);
            let there = project(norm, o, w, margin + ahead, &mut from_origin).max(1e-8);
            let alpha = T::of((here / (here + there)).min(ALPHA_MAX));
            let eta = T::of(ETA);
            for (k, y) in out.iter_mut().enumerate() {
                let a = x[k] + eta * from_here[k];
                let b = o[k] + eta * from_origin[k];
                *y = into_pixels((T::ONE - alpha) * a + alpha * b);
            }
        });
        next
    }

    /// One run. Returns the nearest misclassified point of each example where it is in the ball, else its original; and
    /// whether it is.
    fn walk<T: Real>(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        target_classes: Option<&[u32]>,
    ) -> Result<(Vec<T>, Vec<bool>)> {
        let Originals {
            images,
            indices,
            start,
            ..
        } = originals;
        let (image, plane) = (image_len(images)?, plane_len(images)?);
        let n = images.dim(0)?;
        let mut result = view::<T>(images)?.to_vec();
        let mut broken = vec![false; n];
        let mut origin = result.clone();
        let mut x = match start.restart {
            0 => origin.clone(),
            _ => view::<T>(&self.threat.border_start(images, indices, start, 0.5)?)?.to_vec(),
        };
        let walkers = (0..n).map(|row| Walker {
            row,
            nearest: f64::INFINITY,
        });
        let mut walkers: Vec<Walker> = walkers.collect();
        for _ in 0..self.k {
            let of_rows = |all: &[u32]| walkers.iter().map(|w| all[w.row]).collect::<Vec<u32>>();
            let labels = of_rows(originals.labels);
            let target_classes = target_classes.map(of_rows);
            let mut shape = images.dims().to_vec();
            shape[0] = walkers.len();
            let here = tensor(x.clone(), shape.clone())?;
            let boundary = self.boundary::<T>(victim, &here, &labels, target_classes.as_deref())?;
            x = self.step(&x, &origin, &boundary, image);
            let found = predictions(&victim.logits(&tensor(x.clone(), shape)?)?)?;
            for (position, walker) in walkers.iter_mut().enumerate() {
                if found[position] == labels[position] {
                    continue;
                }
                let origin = chunk(&origin, image, position);
                let point = &mut x[position * image..(position + 1) * image];
                let far = distance(self.threat.norm, point, origin, plane);
                if far < walker.nearest {
                    walker.nearest = far;
                    if far <= self.threat.epsilon {
                        broken[walker.row] = true;
                        result[walker.row * image..][..image].copy_from_slice(point);
                    }
                }
                for (x, &o) in point.iter_mut().zip(origin) {
                    *x = o + (*x - o) * T::of(BETA);
                }
            }
            if self.stop_at_success {
                let positions = 0..walkers.len();
                let kept: Vec<usize> = positions.filter(|&k| !broken[walkers[k].row]).collect();
                keep(&kept, image, &mut [&mut x, &mut origin], &mut walkers);
            }
            if walkers.is_empty() {
                break;
            }
        }
        Ok((result, broken))
    }

    fn run(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        target_classes: Option<&[u32]>,
    ) -> Result<Towards> {
        with_real!(originals.images.dtype(), T => {
            let (images, broken) = self.walk::<T>(victim, originals, target_classes)?;
            let images = tensor(images, originals.images.shape())?;
            Ok(Towards { images, broken })
        })
    }
}

impl Attack for Fab {
    fn name(&self) -> &'static str {
        self.name
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn restarts(&self) -> usize {
        self.restarts
    }

    fn in_turn(&self) -> Option<&dyn InTurn> {
        self.target_classes.is_some().then_some(self)
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let images = &bring(originals.images, &Device::Cpu)?;
        let originals = Originals {
            images,
            ..originals
        };
        self.threat.refuse_channels(self.name)?;
        match self.target_classes {
            None => Ok(self.run(victim, originals, None)?.images),
            Some(_) => in_turn(self, victim, originals),
        }
    }
}

impl InTurn for Fab {
    fn classes(&self) -> usize {
        self.target_classes.unwrap_or(0)
    }

    fn towards(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        target_classes: &[u32],
    ) -> Result<Towards> {
        self.threat.refuse_channels(self.name)?;
        self.run(victim, originals, Some(target_classes))
    }
}
