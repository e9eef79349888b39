//! Tests of paired results: whether what was changed made a difference that chance would not.

/// Pairs of which all signs are tried; of more the sum is taken for normal.
const EXACT: usize = 20;

/// How likely the sum of the differences is at least so far from 0 where the sign of each is a coin's: the two-sided
/// randomisation test of Fisher. With `n` pairs it is never below `2 / 2^n`. None where there are no pairs.
pub fn sign_flips(differences: &[f64]) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let sum = differences.iter().sum::<f64>().abs();
    if differences.len() > EXACT {
        let squares: f64 = differences.iter().map(|d| d * d).sum();
        let deviations = if squares > 0.0 {
            sum / squares.sqrt()
        } else {
            0.0
        };
        return Some(libm::erfc(deviations / std::f64::consts::SQRT_2));
    }
    // Sums of the same numbers in another order differ by rounding.
    let least = sum * (1.0 - 1e-9);
    let all = 1u32 << differences.len();
    let flipped = |signs: u32| {
        let terms = differences.iter().enumerate();
        let terms = terms.map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d });
        terms.sum::<f64>().abs()
    };
    let far = (0..all).filter(|&signs| flipped(signs) >= least).count();
    Some(far as f64 / f64::from(all))
}

/// McNemar's exact test: how likely it is that of `one + other` examples on which two results differ, at most the smaller
/// number falls on one side where either side is a coin's.
pub fn mcnemar(one: usize, other: usize) -> f64 {
    let (count, fewer) = (one + other, one.min(other));
    let log_of = |n: usize| libm::lgamma(n as f64 + 1.0);
    let share = |k: usize| {
        let ways = log_of(count) - log_of(k) - log_of(count - k);
        (ways - count as f64 * std::f64::consts::LN_2).exp()
    };
    (2.0 * (0..=fewer).map(share).sum::<f64>()).min(1.0)
}

/// Such a probability in words.
pub fn chance(p: f64) -> String {
    match p < 1e-4 {
        true => format!("{p:.0e}"),
        false => format!("{p:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn signs_are_flipped() {
        assert_eq!(sign_flips(&[]), None);
        // Of eight choices only the given one and its opposite reach the sum.
        close(sign_flips(&[1.0, 2.0, 3.0]).unwrap(), 0.25);
        // 1 - 1 is reached by all four choices.
        close(sign_flips(&[1.0, -1.0]).unwrap(), 1.0);
        // |sum| >= 4 of +-1 +-2 +-3: 6, 4 and their opposites.
        close(sign_flips(&[-1.0, 2.0, 3.0]).unwrap(), 0.5);
        close(sign_flips(&[0.0; 30]).unwrap(), 1.0);
        // Two standard deviations of a normal sum: 0.0455.
        let many: Vec<f64> = (0..100).map(|i| if i < 60 { 1.0 } else { -1.0 }).collect();
        assert!((sign_flips(&many).unwrap() - 0.0455).abs() < 1e-4);
    }

    #[test]
    fn disagreements_are_binomial() {
        close(mcnemar(0, 0), 1.0);
        close(mcnemar(5, 5), 1.0);
        // 2 (1 + 10) / 2^10
        close(mcnemar(1, 9), 22.0 / 1024.0);
        close(mcnemar(9, 1), 22.0 / 1024.0);
        assert!(mcnemar(400, 600) < 1e-9);
    }
}
