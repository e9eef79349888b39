//! FAB, the fast adaptive boundary attack (Croce and Hein, arXiv 1907.02044): looks for the nearest misclassified point.

use candle_core::{Device, Tensor};

use super::apgd::few_steps;
use super::craft::predictions;
use super::rows::keep;
use super::settings::{Making, Settings};
use super::target_classes::{InTurn, Towards, in_turn};
use super::{Attack, Norm, Objective, Originals, Threat, Victim};
use crate::ops::Real;
use crate::ops::boundary_step;
use crate::ops::device::bring;
use crate::ops::logit_score::Score;
use crate::ops::parallel::{chunk, map};
use crate::ops::perturbation::{distances, draw_nearer, image_len};
use crate::ops::real::view;
use crate::ops::rows::{copy, put, select};
use crate::spec::{Count, Iterations, Restarts, section};
use crate::{Result, with_real};

/// The share of the way to the original at which a misclassified point is left for the next one.
const BETA: f64 = 0.9;

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
struct Boundary {
    margins: Vec<f64>,
    gradients: Tensor,
}

impl Fab {
    /// The margins to the target classes, or to the nearest boundary among all classes.
    fn boundary(
        &self,
        victim: &Victim<'_>,
        x: &Tensor,
        labels: &[u32],
        target_classes: Option<&[u32]>,
    ) -> Result<Boundary> {
        let towards = |target_classes: &[u32]| {
            let margin = Objective::Score(Score::Margin);
            victim.ascend(x, margin, labels, Some(target_classes))
        };
        if let Some(target_classes) = target_classes {
            let ascent = towards(target_classes)?;
            return Ok(Boundary {
                margins: ascent.loss.per_example,
                gradients: ascent.gradient,
            });
        }
        let mut nearest = vec![f64::INFINITY; labels.len()];
        let mut found = Boundary {
            margins: vec![0.0; labels.len()],
            gradients: x.zeros_like()?,
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
            let margins = ascent.loss.per_example;
            let slopes = self.dual_lengths(&ascent.gradient)?;
            let mut nearer = Vec::new();
            for (i, slope) in slopes.into_iter().enumerate() {
                let far = margins[i].abs() / slope.max(1e-12);
                if far < nearest[i] {
                    nearest[i] = far;
                    found.margins[i] = margins[i];
                    nearer.push((i, i));
                }
            }
            put(&found.gradients, &ascent.gradient, &nearer)?;
            number += 1;
        }
        Ok(found)
    }

    /// How long each gradient is in the norm that is dual to the threat's: how much a step of length 1 can change its logits.
    fn dual_lengths(&self, gradients: &Tensor) -> Result<Vec<f64>> {
        let gradients = bring(gradients, &Device::Cpu)?;
        let image = image_len(&gradients)?;
        with_real!(gradients.dtype(), T => {
            let gradients = &*view::<T>(&gradients)?;
            Ok(map(gradients.len() / image, &|i| {
                let gradient = chunk(gradients, image, i).iter().map(|g| g.wide());
                match self.threat.norm {
                    Norm::L2 => gradient.map(|g| g * g).sum::<f64>().sqrt(),
                    Norm::Linf | Norm::ChannelLinf(_) => gradient.map(f64::abs).sum(),
                }
            }))
        })
    }

    /// One run. Returns the nearest misclassified point of each example where it is in the ball, else its original; and
    /// whether it is.
    fn run(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        target_classes: Option<&[u32]>,
    ) -> Result<Towards> {
        self.threat.refuse_channels(self.name)?;
        let Originals { indices, start, .. } = originals;
        // From the first step to the last where the network is.
        let mut origin = bring(originals.images, victim.network.device())?;
        let images = copy(&origin)?;
        let mut broken = vec![false; indices.len()];
        let mut x = match start.restart {
            0 => origin.clone(),
            _ => self.threat.border_start(&origin, indices, start, 0.5)?,
        };
        let walkers = (0..indices.len()).map(|row| Walker {
            row,
            nearest: f64::INFINITY,
        });
        let mut walkers: Vec<Walker> = walkers.collect();
        for _ in 0..self.k {
            let of_rows = |all: &[u32]| walkers.iter().map(|w| all[w.row]).collect::<Vec<u32>>();
            let labels = of_rows(originals.labels);
            let target_classes = target_classes.map(of_rows);
            let Boundary { margins, gradients } =
                self.boundary(victim, &x, &labels, target_classes.as_deref())?;
            x = boundary_step::next(&x, &origin, &gradients, &margins, self.threat.norm)?;
            let found = predictions(&victim.logits(&x)?)?;
            let positions = 0..walkers.len();
            let wrong: Vec<usize> = positions.filter(|&k| found[k] != labels[k]).collect();
            if wrong.is_empty() {
                continue;
            }
            let [points, from] = [&x, &origin].map(|all| select(all, &wrong));
            let far = distances(&points?, &from?, self.threat.norm)?;
            let mut inside = Vec::new();
            for (&position, far) in wrong.iter().zip(far) {
                let walker = &mut walkers[position];
                if far < walker.nearest {
                    walker.nearest = far;
                    if far <= self.threat.epsilon {
                        broken[walker.row] = true;
                        inside.push((position, walker.row));
                    }
                }
            }
            put(&images, &x, &inside)?;
            draw_nearer(&x, &origin, &wrong, BETA)?;
            if self.stop_at_success {
                let positions = 0..walkers.len();
                let kept: Vec<usize> = positions.filter(|&k| !broken[walkers[k].row]).collect();
                keep(&kept, &mut [&mut x, &mut origin], &mut walkers)?;
            }
            if walkers.is_empty() {
                break;
            }
        }
        let images = bring(&images, originals.images.device())?;
        Ok(Towards { images, broken })
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
        self.run(victim, originals, Some(target_classes))
    }
}
