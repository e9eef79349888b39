//! Arithmetic with repeated sides on the CPU.

use candle_core::Tensor;

use super::{Arithmetic, common};
use crate::ops::Real;
use crate::ops::parallel::{chunk, chunks_mut, rows_per_task, sum_parts};
use crate::ops::real::{scratch, tensor, view};
use crate::{Result, simd, with_real};

/// Parts that a sum over everything is split into.
const PARTS: usize = 16;

/// A walk through a tensor of some shape with a second position, which stands still along some of its sides. Neighbouring
/// sides of one kind are one.
struct Walk {
    dims: Vec<usize>,
    strides: Vec<usize>,
}

impl Walk {
    /// Through `dims`, with the position in a tensor `of` as many dimensions whose sides are the same or 1. `apart` says
    /// before which sides of one kind there is an end for another walk's sake.
    fn new(dims: &[usize], of: &[usize], apart: impl Fn(usize) -> bool) -> Self {
        let mut walk = Self {
            dims: Vec::new(),
            strides: Vec::new(),
        };
        let mut moved: Vec<bool> = Vec::new();
        for (i, (&side, &own)) in dims.iter().zip(of).enumerate() {
            let moves = own == side;
            match (walk.dims.last_mut(), moved.last()) {
                (Some(last), Some(&before)) if before == moves && !apart(i) => *last *= side,
                _ => {
                    walk.dims.push(side);
                    moved.push(moves);
                }
            }
        }
        let mut stride = 1;
        walk.strides = vec![0; walk.dims.len()];
        for (i, side) in walk.dims.iter().enumerate().rev() {
            if moved[i] {
                walk.strides[i] = stride;
                stride *= side;
            }
        }
        walk
    }

    /// Elements of the innermost side, and whether the second position moves along it.
    fn inner(&self) -> (usize, bool) {
        match (self.dims.last(), self.strides.last()) {
            (Some(&side), Some(&stride)) => (side, stride == 1),
            _ => (1, true),
        }
    }

    /// The second position at the beginning of the innermost side number `row`.
    fn at(&self, mut row: usize) -> usize {
        let outer = self.dims.len().saturating_sub(1);
        let mut at = 0;
        for i in (0..outer).rev() {
            at += row % self.dims[i] * self.strides[i];
            row /= self.dims[i];
        }
        at
    }

    /// The numbers that go with the innermost side number `row`; one, where the position stands still.
    fn part<'a, T>(&self, row: usize, values: &'a [T]) -> &'a [T] {
        let (width, moves) = self.inner();
        &values[self.at(row)..][..if moves { width } else { 1 }]
    }
}

simd! {
    fn rows<T, const HOW: u8>(a: &[T], b: &[T], y: &mut [T]) {
        let one = |a: T, b: T| match HOW {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            _ => a / b,
        };
        match (a, b) {
            (a, &[b]) if a.len() == y.len() => {
                for (y, &a) in y.iter_mut().zip(a) {
                    *y = one(a, b);
                }
            }
            (&[a], b) => {
                for (y, &b) in y.iter_mut().zip(b) {
                    *y = one(a, b);
                }
            }
            (a, b) => {
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = one(a, b);
                }
            }
        }
    }
}

pub fn combine(a: &Tensor, b: &Tensor, how: Arithmetic) -> Result<Tensor> {
    let dims = common(a, b)?;
    let changes = |of: &[usize], i: usize| (of[i] == dims[i]) != (of[i - 1] == dims[i - 1]);
    let (first, second) = (
        Walk::new(&dims, a.dims(), |i| changes(b.dims(), i)),
        Walk::new(&dims, b.dims(), |i| changes(a.dims(), i)),
    );
    with_real!(a.dtype(), T => {
        let kernel: fn(&[T], &[T], &mut [T]) = match how {
            Arithmetic::Add => rows::<T, 0>,
            Arithmetic::Subtract => rows::<T, 1>,
            Arithmetic::Multiply => rows::<T, 2>,
            Arithmetic::Divide => rows::<T, 3>,
        };
        let (x, z) = (&*view::<T>(a)?, &*view::<T>(b)?);
        let mut y = scratch::<T>(dims.iter().product());
        let width = first.inner().0.max(1);
        let rows = rows_per_task(width);
        chunks_mut(&mut y, rows * width, &|task, y| {
            for (i, y) in y.chunks_mut(width).enumerate() {
                let row = task * rows + i;
                kernel(first.part(row, x), second.part(row, z), y);
            }
        });
        tensor(y, dims)
    })
}

pub fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let len: usize = shape.iter().product();
    with_real!(x.dtype(), T => {
        let input = &*view::<T>(x)?;
        let mut sums = vec![T::ZERO; len];
        match (x.dims(), shape) {
            // Nothing is repeated along the first side: each of its elements has sums of its own.
            ([n, rest @ ..], [m, to @ ..]) if n == m && len > 0 => {
                let walk = Walk::new(rest, to, |_| false);
                let (from, to) = (input.len() / n, len / n);
                chunks_mut(&mut sums, to, &|i, sums| {
                    let mut wide = vec![0.0; to];
                    add(chunk(input, from, i), &walk, &mut wide);
                    for (sum, wide) in sums.iter_mut().zip(wide) {
                        *sum = T::of(wide);
                    }
                });
            }
            ([n, rest @ ..], [_, to @ ..]) if !input.is_empty() => {
                let walk = Walk::new(rest, to, |_| false);
                let from = input.len() / n;
                let wide = sum_parts::<f64>(*n, PARTS, len, &|range, wide| {
                    for i in range {
                        add(chunk(input, from, i), &walk, wide);
                    }
                });
                sums = wide.into_iter().map(T::of).collect();
            }
            // A single number, or none.
            _ if input.len() == len => sums.copy_from_slice(input),
            _ => {}
        }
        tensor(sums, shape)
    })
}

/// Adds the numbers of a walk to its second positions.
fn add<T: Real>(x: &[T], walk: &Walk, sums: &mut [f64]) {
    let (width, moves) = walk.inner();
    for (row, x) in x.chunks(width.max(1)).enumerate() {
        let at = walk.at(row);
        if moves {
            for (sum, x) in sums[at..].iter_mut().zip(x) {
                *sum += x.wide();
            }
        } else {
            sums[at] += x.iter().map(|x| x.wide()).sum::<f64>();
        }
    }
}
