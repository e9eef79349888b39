//! Rows of few channels, several at a time: vectors then have no empty lanes.

use super::Real;

/// How many rows of `width` elements make up whole vectors.
pub(super) fn repeats(width: usize) -> usize {
    let mut rows = 1;
    while !(rows * width).is_multiple_of(16) {
        rows *= 2;
    }
    rows
}

/// A row of channel values, repeated so that it makes up whole vectors.
pub(super) fn tiled<T: Real>(values: &[T]) -> Vec<T> {
    values.repeat(repeats(values.len()))
}
