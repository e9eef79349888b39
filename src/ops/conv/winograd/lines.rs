//! Winograd's transforms F(4, 3) of a line of values, for several channels at a time, with the points 0, +-3/4, +-3/2 and infinity:
//! `output(filter(g) * input(d))` is the correlation of 6 inputs `d` with 3 taps `g`.

use std::ops::{Add, Mul, Sub};

use crate::ops::Real;
use crate::ops::conv::geometry::LANES;

/// The two points beside 0 and infinity, and their squares.
const A: f64 = 0.75;
const B: f64 = 1.5;
const AA: f64 = A * A;
const BB: f64 = B * B;

/// Values of neighbouring channels.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Lanes<T>(pub [T; LANES]);

impl<T: Real> Lanes<T> {
    pub const ZERO: Self = Self([T::ZERO; LANES]);

    #[inline(always)]
    pub fn load(from: &[T]) -> Self {
        let from: &[T] = &from[..LANES];
        let mut all = [T::ZERO; LANES];
        for (lane, value) in all.iter_mut().enumerate() {
            *value = from[lane];
        }
        Self(all)
    }

    #[inline(always)]
    pub fn store(&self, to: &mut [T]) {
        to[..LANES].copy_from_slice(&self.0);
    }
}

impl<T: Real> Add for Lanes<T> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut all = [T::ZERO; LANES];
        for (lane, value) in all.iter_mut().enumerate() {
            *value = self.0[lane] + other.0[lane];
        }
        Self(all)
    }
}

impl<T: Real> Sub for Lanes<T> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut all = [T::ZERO; LANES];
        for (lane, value) in all.iter_mut().enumerate() {
            *value = self.0[lane] - other.0[lane];
        }
        Self(all)
    }
}

impl<T: Real> Mul<f64> for Lanes<T> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, factor: f64) -> Self {
        let mut all = [T::ZERO; LANES];
        for (lane, value) in all.iter_mut().enumerate() {
            *value = self.0[lane] * T::of(factor);
        }
        Self(all)
    }
}

/// A transform of lines applied to the rows of a tile and then to the columns of what that gives; `put` gets each value with its
/// row and column.
#[inline(always)]
pub(super) fn transform<T: Real, const A: usize, const B: usize>(
    tile: [[Lanes<T>; A]; A],
    line: impl Fn([Lanes<T>; A]) -> [Lanes<T>; B],
    mut put: impl FnMut([usize; 2], Lanes<T>),
) {
    // Loops over what is there already: arrays that closures return are copied.
    let mut rows = [[Lanes::ZERO; B]; A];
    for (row, tile) in rows.iter_mut().zip(tile) {
        *row = line(tile);
    }
    for column in 0..B {
        let mut down = [Lanes::ZERO; A];
        for (value, row) in down.iter_mut().zip(&rows) {
            *value = row[column];
        }
        for (row, value) in line(down).into_iter().enumerate() {
            put([row, column], value);
        }
    }
}

/// Inputs at the points.
#[inline(always)]
pub(super) fn input<T: Real>(d: [Lanes<T>; 6]) -> [Lanes<T>; 6] {
    let (even_a, odd_a) = (d[4] - d[2] * BB, (d[3] - d[1] * BB) * A);
    let (even_b, odd_b) = (d[4] - d[2] * AA, (d[3] - d[1] * AA) * B);
    [
        d[0] * (AA * BB) - d[2] * (AA + BB) + d[4],
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        d[1] * (AA * BB) - d[3] * (AA + BB) + d[5],
    ]
}

/// Outputs from products at the points.
#[inline(always)]
pub(super) fn output<T: Real>(m: [Lanes<T>; 6]) -> [Lanes<T>; 4] {
    let (even_a, odd_a) = (m[1] + m[2], (m[1] - m[2]) * A);
    let (even_b, odd_b) = (m[3] + m[4], (m[3] - m[4]) * B);
    [
        m[0] + even_a + even_b,
        odd_a + odd_b,
        even_a * AA + even_b * BB,
        odd_a * AA + odd_b * BB + m[5],
    ]
}

/// The transpose of [`output`]: gradients with respect to outputs at the points.
#[inline(always)]
pub(super) fn gradient<T: Real>(y: [Lanes<T>; 4]) -> [Lanes<T>; 6] {
    let (even_a, odd_a) = (y[0] + y[2] * AA, (y[1] + y[3] * AA) * A);
    let (even_b, odd_b) = (y[0] + y[2] * BB, (y[1] + y[3] * BB) * B);
    [
        y[0],
        even_a + odd_a,
        even_a - odd_a,
        even_b + odd_b,
        even_b - odd_b,
        y[3],
    ]
}

/// What the values of a filter at +-3/4 and at +-3/2 are divided by.
const SCALE_A: f64 = 2.0 * AA * (AA - BB);
const SCALE_B: f64 = 2.0 * BB * (BB - AA);

/// Taps at the points.
#[inline(always)]
pub(super) fn filter<T: Real>(g: [Lanes<T>; 3]) -> [Lanes<T>; 6] {
    let at = |even: Lanes<T>, odd: Lanes<T>, scale: f64| {
        let (even, odd) = (even * (1.0 / scale), odd * (1.0 / scale));
        [even + odd, even - odd]
    };
    let [plus_a, minus_a] = at(g[0] + g[2] * AA, g[1] * A, SCALE_A);
    let [plus_b, minus_b] = at(g[0] + g[2] * BB, g[1] * B, SCALE_B);
    [
        g[0] * (1.0 / (AA * BB)),
        plus_a,
        minus_a,
        plus_b,
        minus_b,
        g[2],
    ]
}

/// The transpose of [`filter`]: gradients with respect to taps from those at the points.
#[inline(always)]
pub(super) fn filter_back<T: Real>(u: [Lanes<T>; 6]) -> [Lanes<T>; 3] {
    let (even_a, odd_a) = (
        (u[1] + u[2]) * (1.0 / SCALE_A),
        (u[1] - u[2]) * (A / SCALE_A),
    );
    let (even_b, odd_b) = (
        (u[3] + u[4]) * (1.0 / SCALE_B),
        (u[3] - u[4]) * (B / SCALE_B),
    );
    [
        u[0] * (1.0 / (AA * BB)) + even_a + even_b,
        odd_a + odd_b,
        even_a * AA + even_b * BB + u[5],
    ]
}
