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

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(expected: Option<(f64, f64)>, bounds: [Option<f64>; 2]) -> ClaimSpec {
        ClaimSpec {
            name: "a".into(),
            spec: None,
            metric: "test_accuracy".into(),
            expected: expected.map(|(expected, _)| expected),
            tolerance: expected.map(|(_, tolerance)| tolerance),
            at_least: bounds[0],
            at_most: bounds[1],
            seeds: Vec::new(),
            source: "b".into(),
        }
    }

    #[test]
    fn bounds_and_tolerances_count_as_they_are_written() {
        let near = claim(Some((0.915, 0.001)), [None, None]);
        assert!(near.allows(0.916) && near.allows(0.914), "decimals");
        assert!(!near.allows(0.9161) && !near.allows(0.9139));
        assert!((near.difference(0.92) - 0.005).abs() < 1e-12);
        let exact = claim(Some((0.24, 0.0)), [None, None]);
        assert!(exact.allows(120.0 / 500.0) && !exact.allows(121.0 / 500.0));
        let range = claim(None, [Some(0.4), Some(0.5)]);
        assert!(range.allows(0.4) && range.allows(0.5) && !range.allows(0.51));
        assert_eq!(range.difference(0.45), 0.0);
        assert!((range.difference(0.3) + 0.1).abs() < 1e-12);
        let least = claim(None, [Some(0.4), None]);
        assert!(least.allows(7.0) && !least.allows(0.39));
    }

    #[test]
    fn a_claim_holds_if_it_holds_for_every_run() {
        let range = claim(None, [Some(0.4), Some(0.5)]);
        assert_eq!(range.judge(&[0.4, 0.45]), Verdict::Holds);
        assert_eq!(range.judge(&[0.4, 0.55]), Verdict::Fails);
    }
}
