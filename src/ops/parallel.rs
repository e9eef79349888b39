//! How work is split: always by shape, never by the number of threads, so that sums come out the same everywhere.

use std::ops::Range;

use rayon::prelude::*;

use super::Real;
use super::elementwise::add_into;

/// Splits `0..len` into at most `parts` ranges of nearly equal length, none of them empty.
pub fn ranges(len: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, len.max(1));
    (0..parts)
        .map(|i| i * len / parts..(i + 1) * len / parts)
        .filter(|range| !range.is_empty())
        .collect()
}

/// Sums of `width` numbers over `0..len`: each part's sum is computed by `body` into a zeroed buffer, in parallel, and
/// the parts are added from the first to the last.
pub fn sum_parts<T: Real>(
    len: usize,
    parts: usize,
    width: usize,
    body: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Vec<T> {
    let partial: Vec<Vec<T>> = ranges(len, parts)
        .into_par_iter()
        .map(|range| {
            let mut sums = vec![T::ZERO; width];
            body(range, &mut sums);
            sums
        })
        .collect();
    let mut partial = partial.into_iter();
    let mut total = partial.next().unwrap_or_else(|| vec![T::ZERO; width]);
    for part in partial {
        add_into(&part, &mut total);
    }
    total
}

/// Elements that one task of an elementwise kernel handles: small enough to stay in a core's cache, large enough to
/// pay for the hand-over.
pub const GRAIN: usize = 1 << 15;

/// Rows of `width` elements per task of an elementwise kernel.
pub fn rows_per_task(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for len in [0, 1, 5, 64, 1000] {
            for parts in [1, 3, 7, 2000] {
                let all: Vec<usize> = ranges(len, parts).into_iter().flatten().collect();
                assert_eq!(all, (0..len).collect::<Vec<_>>(), "{len} in {parts}");
            }
        }
    }

    #[test]
    fn parts_are_summed() {
        let sums = sum_parts::<f64>(100, 7, 2, |range, sums| {
            for i in range {
                sums[0] += i as f64;
                sums[1] += 1.0;
            }
        });
        assert_eq!(sums, [4950.0, 100.0]);
    }
}
