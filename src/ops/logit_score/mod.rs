//! What attacks ascend beside the cross-entropy: functions of a few of an example's logits, and their gradients.

pub(in crate::ops) mod card;
mod cpu;

use candle_core::Tensor;

use super::card::{card_of, constant};
use super::cross_entropy::{Losses, check};
use super::device::ops;
use crate::{Error, Result};
pub use cpu::descending;

/// A function of the logits `z` of an example with label `y`, and where it is given with target class `t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Score {
    /// `-z_y`; with target classes, `z_t`: the negative log-likelihood of raw logits, as if they were log-probabilities.
    Logit,
    /// `z_t - z_y`: the boundary between two classes, on which FAB projects; without target classes `max z_other - z_y` (Carlini
    /// and Wagner, arXiv 1608.04644).
    Margin,
    /// Difference of logits ratio, `-(z_y - max z_other) / (z_1 - z_3)` with `z_1 >= z_2 >= ..` the sorted logits (Croce
    /// and Hein, arXiv 2003.01690). It does not change with the scale of the logits.
    Dlr,
    /// `-(z_y - z_t) / (z_1 - (z_3 + z_4) / 2)`, from the same paper; takes target classes.
    TargetedDlr,
}

// The card's side hands a score's number to the kernel.
const KERNEL: &str = include_str!("kernel.cu");
const _: () = assert!(
    constant(KERNEL, "LOGIT") == Score::Logit as usize
        && constant(KERNEL, "MARGIN") == Score::Margin as usize
        && constant(KERNEL, "DLR") == Score::Dlr as usize
        && constant(KERNEL, "TARGETED_DLR") == Score::TargetedDlr as usize
);

/// Keeps a quotient of logits finite where all of them are equal.
const FLOOR: f64 = 1e-12;

impl Score {
    /// The fewest classes that it is defined for.
    pub fn classes(self) -> usize {
        match self {
            Self::Logit | Self::Margin => 2,
            Self::Dlr => 3,
            Self::TargetedDlr => 4,
        }
    }

    /// Whether it is a function of a target class too.
    fn takes_target(self) -> bool {
        matches!(self, Self::TargetedDlr)
    }
}

ops! {
    /// The score of each row of logits `(N, classes)` and the gradient of their sum with respect to the logits. Nothing is
    /// waited for.
    pub fn queue(logits: &Tensor, labels: &[u32], target_classes: Option<&[u32]>, score: Score) -> Result<(Losses, Tensor)> {
        check(logits, labels);
        target_classes.map_or(Ok(()), |targets| check(logits, targets));
        enough(logits, target_classes.is_some(), score)
    }
}

/// What [`queue`] computes, of labels and target classes that are on the logits' card and have been checked there where they
/// come from.
pub fn queue_for(
    logits: &Tensor,
    labels: &Tensor,
    target_classes: Option<&Tensor>,
    score: Score,
) -> Result<(Tensor, Tensor)> {
    enough(logits, target_classes.is_some(), score)?;
    let card =
        card_of(logits)?.ok_or_else(|| Error::failed("labels on a card meet logits elsewhere"))?;
    card::queue_for(&*card, logits, labels, target_classes, score)
}

fn enough(logits: &Tensor, has_targets: bool, score: Score) -> Result<()> {
    let classes = logits.dim(1)?;
    if classes < score.classes() {
        return Err(Error::failed(format!(
            "the loss {score:?} takes a model of at least {} classes, and this one has {classes}",
            score.classes()
        )));
    }
    if score.takes_target() && !has_targets {
        return Err(Error::failed(format!(
            "the loss {score:?} takes target classes"
        )));
    }
    Ok(())
}
