//! The numbers are the same by all instructions, and normal.

use super::*;
use crate::rng::{Purpose, stream};

fn normals(repeat: u64) -> Normals {
    Normals::new(stream(9, Purpose::Simulation, 0, 0, repeat))
}

fn drawn(mut normals: Normals, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    normals.fill(&mut values);
    values
}

/// P(X < x), to 1e-15.
fn cumulative(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

#[test]
fn numbers_are_the_same_by_all_instructions() {
    let mut archs = vec![pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        archs.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
        archs.extend(pulp::x86::V4::try_new().map(pulp::Arch::V4));
    }
    let numbers = archs.iter().map(|&arch| {
        let normals = Normals { arch, ..normals(1) };
        let bits = |value: f64| value.to_bits();
        drawn(normals, 100_000).into_iter().map(bits).collect()
    });
    let numbers: Vec<Vec<u64>> = numbers.collect();
    for (arch, others) in archs.iter().zip(&numbers) {
        assert!(*others == numbers[0], "{arch:?}");
    }
}

#[test]
fn numbers_do_not_depend_on_how_many_are_asked_for() {
    let at_once = drawn(normals(2), 5000);
    let mut normals = normals(2);
    let mut parts = Vec::new();
    for count in [1, 511, 513, 7, 1024, 0, 2944] {
        let mut part = vec![0.0; count];
        normals.fill(&mut part);
        parts.extend(part);
    }
    assert_eq!(parts, at_once);
}

#[test]
fn golden_numbers() {
    assert_eq!(
        drawn(normals(0), 4),
        [
            -1.7967684488884017,
            0.3045614806798025,
            -0.8433709994581704,
            0.6509447178933979
        ]
    );
}

#[test]
fn moments_are_those_of_the_normal_distribution() {
    let count = 4_000_000;
    let values = drawn(normals(3), count);
    // Mean of x^p, and of x^2p for the standard error.
    let expected = [0.0, 1.0, 0.0, 3.0, 0.0, 15.0, 0.0, 105.0];
    let squares = [
        1.0,
        3.0,
        15.0,
        105.0,
        945.0,
        10_395.0,
        135_135.0,
        2_027_025.0,
    ];
    for (p, (expected, square)) in (1..).zip(expected.into_iter().zip(squares)) {
        let sum: f64 = values.iter().map(|x| x.powi(p)).sum();
        let error = ((square - expected * expected) / count as f64).sqrt();
        let z = (sum / count as f64 - expected) / error;
        assert!(z.abs() < 4.0, "moment {p}: {z} standard errors");
    }
    let pairs = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
    assert!(
        (pairs / (count as f64).sqrt()).abs() < 4.0,
        "neighbours are independent"
    );
}

#[test]
fn the_distribution_is_normal_by_kolmogorov_and_smirnov() {
    let count = 2_000_000;
    let mut values = drawn(normals(4), count);
    values.sort_by(f64::total_cmp);
    let mut distance: f64 = 0.0;
    for (index, &value) in values.iter().enumerate() {
        let share = index as f64 / count as f64;
        let expected = cumulative(value);
        distance = distance
            .max((expected - share).abs())
            .max((expected - share - 1.0 / count as f64).abs());
    }
    // Beyond 1.95 in one of a thousand samples of a normal distribution.
    let statistic = distance * (count as f64).sqrt();
    assert!(statistic < 1.95, "{statistic}");
    assert!(statistic > 0.2, "{statistic}: too even for chance");
}

#[test]
fn tails_have_their_share_and_their_shape() {
    let count = 20_000_000;
    let values = drawn(normals(5), count);
    // The tail's own method begins at 4.0388; narrow bins on both sides of it show a seam.
    let edges = [3.5, 3.7, 3.9, 4.0, 4.038_849_846, 4.08, 4.2, 4.5, 9.0];
    for sign in [-1.0, 1.0] {
        for edge in edges.windows(2) {
            let inside = |x: &&f64| (edge[0]..edge[1]).contains(&(sign * **x));
            let found = values.iter().filter(inside).count() as f64;
            let expected = (cumulative(-edge[0]) - cumulative(-edge[1])) * count as f64;
            let z = (found - expected) / expected.sqrt();
            assert!(z.abs() < 4.0, "{sign} x {edge:?}: {found} for {expected}");
        }
    }
}

#[test]
fn narrow_bins_have_their_shares() {
    let count = 8_000_000;
    let bins = 3000;
    let mut found = vec![0_u32; bins];
    for value in drawn(normals(6), count) {
        found[((cumulative(value) * bins as f64) as usize).min(bins - 1)] += 1;
    }
    let expected = count as f64 / bins as f64;
    let square: f64 = found
        .iter()
        .map(|&found| (f64::from(found) - expected).powi(2) / expected)
        .sum();
    // Chi squared with bins - 1 degrees of freedom: its mean and standard deviation.
    let z = (square - (bins - 1) as f64) / (2.0 * (bins - 1) as f64).sqrt();
    assert!(z.abs() < 4.0, "{z}");
}
