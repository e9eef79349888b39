//! Target classes in turn: how APGD-T and FAB-T go through the likeliest wrong classes.

use candle_core::Tensor;

use super::objective::rivals;
use super::rows::{copy, put, select};
use super::{Originals, Start, Target};
use crate::{Error, Result};

/// What a run towards one class gave: an image for each example, and whether the image is to be kept.
pub(super) struct Towards {
    pub images: Tensor,
    /// Which examples are misclassified by it.
    pub broken: Vec<bool>,
}

/// Runs `towards` each of the `classes` likeliest wrong classes of the examples in turn, each time on those that no
/// earlier class has broken. `towards` gets the examples and the class of each. What withstands all classes ends with the
/// image of the first.
pub(super) fn in_turn(
    classes: usize,
    target: &Target<'_>,
    originals: Originals<'_>,
    mut towards: impl FnMut(Originals<'_>, &[u32]) -> Result<Towards>,
) -> Result<Tensor> {
    let Originals {
        images,
        labels,
        indices,
        start,
    } = originals;
    let rivals = rivals(&target.logits(images)?, labels)?;
    let wrong = rivals.first().map_or(classes, Vec::len);
    if classes > wrong {
        return Err(Error::failed(format!(
            "attack.n_target_classes: expected at most the {wrong} wrong classes that there are, found {classes}"
        )));
    }
    // The first row holds every example's likeliest wrong class, the next one the second likeliest, ...
    let ranks = (0..classes).map(|rank| rivals.iter().map(|others| others[rank]).collect());
    let ranks: Vec<Vec<u32>> = ranks.collect();
    let result = copy(images)?;
    let mut standing: Vec<usize> = (0..labels.len()).collect();
    for (number, aims) in ranks.iter().enumerate() {
        if standing.is_empty() {
            break;
        }
        let chosen = select(images, &standing)?;
        let labels: Vec<u32> = standing.iter().map(|&i| labels[i]).collect();
        let indices: Vec<usize> = standing.iter().map(|&i| indices[i]).collect();
        let aims: Vec<u32> = standing.iter().map(|&i| aims[i]).collect();
        let originals = Originals {
            images: &chosen,
            labels: &labels,
            indices: &indices,
            start: Start {
                target: number as u16,
                ..start
            },
        };
        let found = towards(originals, &aims)?;
        let places = standing.iter().copied().enumerate();
        let taken = places.filter(|&(k, _)| number == 0 || found.broken[k]);
        put(&result, &found.images, &taken.collect::<Vec<_>>())?;
        let mut broken = found.broken.into_iter();
        standing.retain(|_| !broken.next().unwrap_or(false));
    }
    Ok(result)
}
