//! Whether what was measured is what was claimed.

use super::claim::ClaimSpec;

/// What became of a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Every figure measured is as claimed.
    Holds,
    /// At least one is not.
    Fails,
    /// A run ended with an error, in words.
    RunFailed(String),
    /// It could not be measured, in words: what it reads is missing, or there is no such metric.
    NotChecked(String),
}

/// What rounding to binary makes of a decimal bound: a figure of 0.916 is within 0.001 of 0.915.
const ROUNDING: f64 = 1e-12;

impl ClaimSpec {
    /// The figures that it allows, from the least to the most.
    pub fn bounds(&self) -> [f64; 2] {
        match (self.expected, self.tolerance) {
            (Some(expected), Some(tolerance)) => [expected - tolerance, expected + tolerance],
            _ => [
                self.at_least.unwrap_or(f64::NEG_INFINITY),
                self.at_most.unwrap_or(f64::INFINITY),
            ],
        }
    }

    /// How far a figure lies from what is expected; of a claim of bounds, how far beyond them.
    pub fn difference(&self, measured: f64) -> f64 {
        if let Some(expected) = self.expected {
            return measured - expected;
        }
        let [least, most] = self.bounds();
        measured - measured.clamp(least, most)
    }

    /// Whether a figure is as claimed.
    pub fn allows(&self, measured: f64) -> bool {
        let [least, most] = self.bounds();
        let slack = ROUNDING * measured.abs().max(1.0);
        measured >= least - slack && measured <= most + slack
    }

    /// The verdict on what was measured.
    pub fn judge(&self, measured: &[f64]) -> Verdict {
        match measured.iter().all(|figure| self.allows(*figure)) {
            true => Verdict::Holds,
            false => Verdict::Fails,
        }
    }
}
