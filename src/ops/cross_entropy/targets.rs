//! What the examples of a batch are to be taken for.

use crate::{Error, Result};

/// The target of each example, a distribution over the classes: `(1 - s) ((1 - w) e_a + w e_b) + s / classes`, with the
/// label `a`, for mixed images a second label `b` of weight `w`, and label smoothing `s` (Szegedy et al., arXiv 1512.00567).
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The class of each example.
    pub labels: &'a [u32],
    /// The second class of each, where images are mixtures of two.
    pub second: Option<Second<'a>>,
    /// The share of the target that all classes have in equal parts, in [0, 1).
    pub smoothing: f64,
}

/// The second of two labels.
#[derive(Clone, Copy, Debug)]
pub struct Second<'a> {
    /// The second class of each example.
    pub labels: &'a [u32],
    /// Its weight in each example, in [0, 1]; the first class has the rest.
    pub weights: &'a [f64],
}

impl<'a> Targets<'a> {
    /// Each example is of its label's class and nothing else.
    pub fn of(labels: &'a [u32]) -> Self {
        Self {
            labels,
            second: None,
            smoothing: 0.0,
        }
    }

    /// Every example has its labels and weights, every label a logit, and every share lies in its range.
    pub(super) fn check(&self, classes: usize, n: usize) -> Result<()> {
        check_labels(self.labels, classes, n)?;
        if !(0.0..1.0).contains(&self.smoothing) {
            return Err(Error::failed(format!(
                "a label smoothing of {}: expected a number in [0, 1)",
                self.smoothing
            )));
        }
        let Some(second) = self.second else {
            return Ok(());
        };
        check_labels(second.labels, classes, n)?;
        if second.weights.len() != n {
            return Err(Error::failed(format!(
                "{} weights of second labels for {n} examples",
                second.weights.len()
            )));
        }
        match second.weights.iter().find(|w| !(0.0..=1.0).contains(*w)) {
            Some(weight) => Err(Error::failed(format!(
                "a second label of weight {weight}: expected a number in [0, 1]"
            ))),
            None => Ok(()),
        }
    }
}

/// Every example has a label, and every label a logit.
pub(super) fn check_labels(labels: &[u32], classes: usize, n: usize) -> Result<()> {
    if labels.len() != n {
        return Err(Error::failed(format!(
            "{} labels for {n} examples",
            labels.len()
        )));
    }
    if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
        return Err(Error::failed(format!(
            "label {label} does not fit a model with {classes} classes"
        )));
    }
    Ok(())
}
