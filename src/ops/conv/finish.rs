//! What is done to parts of a convolution's outputs, and of gradients with respect to them, while these are in a core's cache.

use std::borrow::Cow;

use crate::ops::Real;
use crate::ops::parallel::{GRAIN, chunk, chunks_mut};
use crate::ops::real::scratch;

/// Called with every part of the outputs once it is computed: the position of its first element, at the start of a pixel, and the
/// part.
pub(super) type Finish<'a, T> = dyn Fn(usize, &mut [T]) + Sync + 'a;

/// Leaves the outputs as they are.
pub(super) fn unfinished<T>(_: usize, _: &mut [T]) {}

/// Computes a part of a gradient: the position of its first element, at the start of a pixel, what it is computed from, and where
/// it goes.
pub(super) type Pull<'a, T> = dyn Fn(usize, &[T], &mut [T]) + Sync + 'a;

/// A gradient with respect to outputs: the numbers, or what is computed from them part by part.
#[derive(Clone, Copy)]
pub(super) struct Gradient<'a, T> {
    numbers: &'a [T],
    pull: Option<&'a Pull<'a, T>>,
}

impl<'a, T: Real> Gradient<'a, T> {
    pub fn plain(numbers: &'a [T]) -> Self {
        Self {
            numbers,
            pull: None,
        }
    }

    pub fn pulled(numbers: &'a [T], pull: &'a Pull<'a, T>) -> Self {
        Self {
            numbers,
            pull: Some(pull),
        }
    }

    /// Elements of the buffer that parts of `len` elements need.
    pub fn buffer_len(&self, len: usize) -> usize {
        self.pull.map_or(0, |_| len)
    }

    /// `len` elements from `first` on, the start of a pixel.
    pub fn part<'b>(&self, first: usize, len: usize, buffer: &'b mut [T]) -> &'b [T]
    where
        'a: 'b,
    {
        let numbers = &self.numbers[first..first + len];
        let Some(pull) = self.pull else {
            return numbers;
        };
        let part = &mut buffer[..len];
        pull(first, numbers, part);
        part
    }

    /// All of it, where pixels have `channels` elements.
    pub fn all(&self, channels: usize) -> Cow<'a, [T]> {
        let Some(pull) = self.pull else {
            return Cow::Borrowed(self.numbers);
        };
        let step = (GRAIN / channels).max(1) * channels;
        let mut all = scratch(self.numbers.len());
        chunks_mut(&mut all, step, &|i, part| {
            pull(i * step, chunk(self.numbers, step, i), part);
        });
        Cow::Owned(all)
    }
}
