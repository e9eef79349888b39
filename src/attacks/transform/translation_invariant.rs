//! Gradients smoothed over translations, TI-FGSM (Dong et al., arXiv 1904.02884).

use candle_core::Tensor;

use super::separable::{matrices, separable};
use super::{Change, Moment, Transform};
use crate::Result;
use crate::spec::range::Count;
use crate::spec::section;

/// How many standard deviations the kernel reaches to each side, as in the authors' code.
const DEVIATIONS: f64 = 3.0;

section! {
    /// The gradient convolved with a Gaussian kernel, which stands for the mean over translated images.
    TranslationInvariant {
        /// Side of the kernel in pixels, an odd number; default 15, as in the paper for images of 299 pixels.
        kernel: usize [as Count, or 15],
    }
    check(fields) {
        if kernel.is_some_and(|side| side % 2 == 0 || side > 999) {
            fields.fault("kernel", "expected an odd number below 1000");
        }
    }
}

impl TranslationInvariant {
    pub(super) const ABOUT: [&str; 2] = [
        "gradients smoothed by a Gaussian kernel, in place of translated images",
        "Dong et al., 2019, arXiv 1904.02884",
    ];

    /// The convolution along a side of `side` pixels with zeros beyond it, as a matrix. The kernel in one dimension, whose
    /// square is that of the paper, sums to 1.
    fn matrix(&self, side: usize) -> Vec<f64> {
        let reach = (self.kernel / 2) as f64;
        let weight = |offset: f64| match reach {
            0.0 => 1.0,
            _ => (-0.5 * (DEVIATIONS * offset / reach).powi(2)).exp(),
        };
        let total: f64 = (0..self.kernel).map(|k| weight(k as f64 - reach)).sum();
        let value = |row: usize, column: usize| match row.abs_diff(column) as f64 {
            offset if offset <= reach => weight(offset) / total,
            _ => 0.0,
        };
        let rows = (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
        rows.map(|(row, column)| value(row, column)).collect()
    }
}

/// The matrices along the rows and along the columns.
struct Smoothed(Tensor, Tensor);

impl Transform for TranslationInvariant {
    fn change(&self, images: &Tensor, _moment: &Moment<'_>) -> Result<Box<dyn Change>> {
        let (_, _, height, width) = images.dims4()?;
        let [rows, columns] = [height, width].map(|side| matrices(self.matrix(side), side, images));
        Ok(Box::new(Smoothed(rows?, columns?)))
    }
}

impl Change for Smoothed {
    fn apply(&self, images: &Tensor) -> Result<Tensor> {
        Ok(images.clone())
    }

    fn pull_back(&self, gradient: Tensor) -> Result<Tensor> {
        separable(&self.0, &gradient, &self.1)
    }
}
