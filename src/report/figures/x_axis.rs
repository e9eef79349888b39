//! An axis of numbers whose ticks are chosen outside the library.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// Numbers of a range, with ticks at given ones.
#[derive(Clone)]
pub struct XAxis {
    numbers: RangedCoordf64,
    ticks: Vec<f64>,
}

impl XAxis {
    /// The axis over `range` with these ticks.
    pub fn new(range: Range<f64>, ticks: Vec<f64>) -> Self {
        let numbers = range.into();
        Self { numbers, ticks }
    }
}

// The library asks this of whatever it takes for an axis.
impl From<Range<f64>> for XAxis {
    fn from(range: Range<f64>) -> Self {
        Self::new(range, Vec::new())
    }
}

impl Ranged for XAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.numbers.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.numbers.range()
    }
}
