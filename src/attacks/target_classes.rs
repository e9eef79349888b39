//! Victim classes in turn: how APGD-T and FAB-T go through the likeliest wrong classes.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::objective::rivals;
use super::{Originals, Start, Victim};
use crate::ops::rows::{copy, put, select};
use crate::{Error, Result};

/// An attack that has a run of its own towards each of several classes.
pub trait InTurn {
    /// How many of the likeliest wrong classes it tries.
    fn classes(&self) -> usize;

    /// A run of each example towards its class in `target_classes`.
    fn towards(
        &self,
        victim: &Victim<'_>,
        originals: Originals<'_>,
        target_classes: &[u32],
    ) -> Result<Towards>;
}

/// What a run towards one class gave: an image for each example, and whether the image is to be kept.
pub struct Towards {
    pub images: Tensor,
    /// Which examples are misclassified by it.
    pub broken: Vec<bool>,
}

/// A batch on its way through the target classes, each tried on what no earlier one has broken. What withstands all of
/// them ends with the image of the first.
pub(super) struct Turns {
    images: Tensor,
    course: Course,
}

/// How far a batch has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Course {
    /// The first row holds the likeliest wrong class of each example, the next one the second likeliest, ...
    ranks: Vec<Vec<u32>>,
    /// Classes tried so far.
    tried: usize,
    /// The positions of the examples that none of them has broken.
    standing: Vec<usize>,
}

impl Turns {
    /// A batch before its first class.
    ///
    /// # Errors
    /// More classes to try than there are wrong ones.
    pub fn new(attack: &dyn InTurn, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Self> {
        let Originals { images, labels, .. } = originals;
        let classes = attack.classes();
        let rivals = rivals(&victim.logits(images)?, labels)?;
        let wrong = rivals.first().map_or(classes, Vec::len);
        if classes > wrong {
            return Err(Error::failed(format!(
                "attack.n_target_classes: expected at most the {wrong} wrong classes that there are, found {classes}"
            )));
        }
        let ranks = (0..classes).map(|rank| rivals.iter().map(|others| others[rank]).collect());
        Ok(Self {
            images: copy(images)?,
            course: Course {
                ranks: ranks.collect(),
                tried: 0,
                standing: (0..labels.len()).collect(),
            },
        })
    }

    /// A batch taken up again; nothing if the parts do not belong together, or to a model of `classes` classes.
    pub fn resume(images: &Tensor, course: &Course, classes: usize) -> Result<Option<Self>> {
        let count = images.dim(0)?;
        let sound = |target_classes: &Vec<u32>| {
            target_classes.len() == count
                && target_classes.iter().all(|&aim| (aim as usize) < classes)
        };
        let fits = course.ranks.iter().all(sound)
            && course.standing.iter().all(|&position| position < count);
        Ok(match fits {
            false => None,
            true => Some(Self {
                images: copy(images)?,
                course: course.clone(),
            }),
        })
    }

    /// How far it has come, with the images so far.
    pub fn kept(&self) -> Result<(Tensor, Course)> {
        Ok((copy(&self.images)?, self.course.clone()))
    }

    /// Whether no class is left to try, or nothing to try it on.
    pub fn is_done(&self) -> bool {
        self.course.standing.is_empty() || self.course.tried >= self.course.ranks.len()
    }

    /// The images as they stand.
    pub fn images(&self) -> &Tensor {
        &self.images
    }

    /// Tries the next class.
    pub fn advance(
        &mut self,
        attack: &dyn InTurn,
        victim: &Victim<'_>,
        originals: Originals<'_>,
    ) -> Result<()> {
        let Course {
            ranks,
            tried,
            standing,
        } = &mut self.course;
        let number = *tried;
        let chosen = select(originals.images, standing)?;
        let labels: Vec<u32> = standing.iter().map(|&i| originals.labels[i]).collect();
        let indices: Vec<usize> = standing.iter().map(|&i| originals.indices[i]).collect();
        let target_classes: Vec<u32> = standing.iter().map(|&i| ranks[number][i]).collect();
        let start = Start {
            target: number as u16,
            ..originals.start
        };
        let of_class = Originals::new(&chosen, &labels, &indices, start);
        let found = attack.towards(victim, of_class, &target_classes)?;
        let positions = standing.iter().copied().enumerate();
        let taken = positions.filter(|&(k, _)| number == 0 || found.broken[k]);
        put(&self.images, &found.images, &taken.collect::<Vec<_>>())?;
        let mut broken = found.broken.into_iter();
        standing.retain(|_| !broken.next().unwrap_or(false));
        *tried += 1;
        Ok(())
    }
}

/// All classes in turn.
pub(super) fn in_turn(
    attack: &dyn InTurn,
    victim: &Victim<'_>,
    originals: Originals<'_>,
) -> Result<Tensor> {
    let mut turns = Turns::new(attack, victim, originals)?;
    while !turns.is_done() {
        turns.advance(attack, victim, originals)?;
    }
    Ok(turns.images)
}
