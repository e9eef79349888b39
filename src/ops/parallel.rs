//! How work is split: always by shape, never by the number of threads, so that sums come out the same everywhere.
//!
//! Bodies are passed as `dyn`: a call a task costs nothing beside the task, and the machinery of the thread pool is
//! compiled once instead of once a kernel.

// A body's type names its outputs, and that is what a reader wants to see where it is taken.
#![allow(clippy::type_complexity)]

use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::Real;
use crate::simd;

simd! {
    /// `y += x`, one thread.
    pub(in crate::ops) fn add_into<T>(x: &[T], y: &mut [T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

/// Splits `0..len` into at most `parts` ranges of nearly equal length, none of them empty.
pub fn ranges(len: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, len.max(1));
    (0..parts)
        .map(|i| i * len / parts..(i + 1) * len / parts)
        .filter(|range| !range.is_empty())
        .collect()
}

/// Runs `body` on a thread of the pool. Work that is split within it goes on at once, while every call from another
/// thread is a hand-over and a wait: what consists of many small operations enters once. The other threads stay awake between
/// these operations.
pub fn enter<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return body();
    }
    rayon::scope(|_| {
        let _busy = Busy::begin();
        rayon::spawn_broadcast(|_| stay_awake());
        body()
    })
}

/// How long a thread without work looks for some before it sleeps. To be woken takes longer than most operations of a small network.
const AWAKE: Duration = Duration::from_micros(500);

thread_local! {
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, its thread has a body of [`enter`] to run or is looking for work already.
struct Busy {
    before: bool,
}

impl Busy {
    fn begin() -> Self {
        Self {
            before: IS_BUSY.replace(true),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        IS_BUSY.set(self.before);
    }
}

/// Does the pool's work until there has been none for a while. A thread that waits within a body of its own leaves at once: it has
/// to see the end of its wait.
fn stay_awake() {
    if IS_BUSY.get() {
        return;
    }
    let _busy = Busy::begin();
    let mut last = Instant::now();
    while last.elapsed() < AWAKE {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => last = Instant::now(),
            _ => std::thread::yield_now(),
        }
    }
}

/// Calls `body(i, chunk)` for the `i`-th stretch of `step` elements of `out` (the last may be shorter), in parallel.
pub fn chunks_mut<T: Send>(out: &mut [T], step: usize, body: &(dyn Fn(usize, &mut [T]) + Sync)) {
    if out.len() <= step {
        if !out.is_empty() {
            body(0, out);
        }
        return;
    }
    out.par_chunks_mut(step)
        .enumerate()
        .for_each(|(i, chunk)| body(i, chunk));
}

/// As [`chunks_mut`], with a buffer that `make` fills and that some tasks of one thread share.
pub fn chunks_mut_with<T: Send>(
    out: &mut [T],
    step: usize,
    make: &(dyn Fn() -> Vec<T> + Sync),
    body: &(dyn Fn(usize, &mut [T], &mut [T]) + Sync),
) {
    out.par_chunks_mut(step)
        .enumerate()
        .for_each_init(make, |buffer, (i, chunk)| body(i, chunk, buffer));
}

/// As [`chunks_mut`] on two outputs at once.
pub fn chunks_mut2<T: Send, U: Send>(
    a: &mut [T],
    b: &mut [U],
    (a_step, b_step): (usize, usize),
    body: &(dyn Fn(usize, &mut [T], &mut [U]) + Sync),
) {
    a.par_chunks_mut(a_step)
        .zip(b.par_chunks_mut(b_step))
        .enumerate()
        .for_each(|(i, (a, b))| body(i, a, b));
}

/// As [`chunks_mut`] on three outputs of the same length at once.
pub fn chunks_mut3<T: Send>(
    a: &mut [T],
    b: &mut [T],
    c: &mut [T],
    step: usize,
    body: &(dyn Fn(usize, &mut [T], &mut [T], &mut [T]) + Sync),
) {
    a.par_chunks_mut(step)
        .zip(b.par_chunks_mut(step))
        .zip(c.par_chunks_mut(step))
        .enumerate()
        .for_each(|(i, ((a, b), c))| body(i, a, b, c));
}

/// The `i`-th stretch of `step` elements of `x`, where [`chunks_mut`] calls with the `i`-th stretch of its output.
pub fn chunk<T>(x: &[T], step: usize, i: usize) -> &[T] {
    &x[i * step..((i + 1) * step).min(x.len())]
}

/// The results of `body(0)` to `body(count - 1)`, in order, computed in parallel.
pub fn map<R: Send>(count: usize, body: &(dyn Fn(usize) -> R + Sync)) -> Vec<R> {
    (0..count).into_par_iter().map(body).collect()
}

/// Sums of `width` numbers over `0..len`: each part's sum is computed by `body` into a zeroed buffer, in parallel, and
/// the parts are added from the first to the last.
pub fn sum_parts<T: Real>(
    len: usize,
    parts: usize,
    width: usize,
    body: &(dyn Fn(Range<usize>, &mut [T]) + Sync),
) -> Vec<T> {
    let ranges = ranges(len, parts);
    let partial = map(ranges.len(), &|part| {
        let mut sums = vec![T::ZERO; width];
        body(ranges[part].clone(), &mut sums);
        sums
    });
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

    /// Threads that stay awake for one caller do the work of others too, also within a body.
    #[test]
    fn many_enter_at_once_and_again_within() {
        let sums = |seed: usize| {
            let inner = |i: usize| map(50, &|j| seed * i + j).into_iter().sum::<usize>();
            (0..20)
                .map(|_| enter(|| enter(|| map(40, &inner).into_iter().sum::<usize>())))
                .collect::<Vec<_>>()
        };
        let expected = |seed: usize| vec![seed * 50 * (39 * 40 / 2) + 40 * (49 * 50 / 2); 20];
        std::thread::scope(|scope| {
            let callers: Vec<_> = (1..6)
                .map(|seed| (seed, scope.spawn(move || sums(seed))))
                .collect();
            for (seed, caller) in callers {
                assert_eq!(caller.join().unwrap(), expected(seed));
            }
        });
    }

    #[test]
    fn threads_without_work_go_to_sleep() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let busy = pool.broadcast(|_| {
            stay_awake();
            IS_BUSY.get()
        });
        assert_eq!(busy, [false; 3]);
    }

    #[test]
    fn parts_are_summed() {
        let sums = sum_parts::<f64>(100, 7, 2, &|range, sums| {
            for i in range {
                sums[0] += i as f64;
                sums[1] += 1.0;
            }
        });
        assert_eq!(sums, [4950.0, 100.0]);
    }
}
