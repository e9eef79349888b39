//! The proposals of the Square attack (Andriushchenko et al., arXiv 1912.00049) in linf: a square of pixels goes to the border
//! of the ball.

mod card;
mod cpu;

use candle_core::Tensor;

use super::card::expect;
use super::device::ops;
use super::same::same;
use crate::{Error, Result};

/// A square of pixels within an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub top: usize,
    pub left: usize,
    pub side: usize,
}

impl Window {
    /// The positions of its pixels in a plane with rows of `w` pixels.
    pub(crate) fn pixels(self, w: usize) -> impl Iterator<Item = usize> {
        (0..self.side * self.side)
            .map(move |k| (self.top + k / self.side) * w + self.left + k % self.side)
    }

    pub(crate) fn contains(self, pixel: usize, w: usize) -> bool {
        let (row, column) = (pixel / w, pixel % w);
        (self.top..self.top + self.side).contains(&row)
            && (self.left..self.left + self.side).contains(&column)
    }
}

/// What becomes of an image's pixels in a window: by channel, whether they go up or down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub window: Window,
    pub up: Vec<bool>,
}

ops! {
    /// The images `(N, C, H, W)` with the pixels of each one's window at the border of the ball of radius `epsilon` in linf around
    /// its original, or of the pixel range.
    pub fn propose(images: &Tensor, originals: &Tensor, proposals: &[Proposal], epsilon: f64) -> Result<Tensor> {
        check(images, originals, proposals)
    }
}

fn check(images: &Tensor, originals: &Tensor, proposals: &[Proposal]) -> Result<()> {
    let (n, c, h, w) = images.dims4()?;
    expect::indexable("a proposal", &[n, c, h, w])?;
    same("a proposal", images, originals)?;
    let fits = |Proposal { window, up }: &Proposal| {
        let Window { top, left, side } = *window;
        up.len() == c && top + side <= h && left + side <= w
    };
    if proposals.len() == n && proposals.iter().all(fits) {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{} proposals do not fit images of {:?}",
        proposals.len(),
        images.dims()
    )))
}
