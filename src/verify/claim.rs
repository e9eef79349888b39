//! `[[claim]]`: what is measured, and what it should come to.

use std::path::PathBuf;

use crate::spec::fields::Fields;
use crate::spec::range::{Finite, NonNegative, Seed};
use crate::spec::{repeats, section};

section! {
    /// A claim.
    ClaimSpec {
        /// Name in the table of verdicts; required.
        name: String [by read_name],
        /// The experiment: a table of the keys of a spec, which stand over those of the file's `[spec]`, or the path of a
        /// spec, relative to the file; required.
        spec: Option<PathBuf> [by read_spec],
        /// The metric, a name that `summary.csv` has as a column: "test_accuracy", "test_pgd_accuracy", in an experiment of
        /// several stages "judge.test_accuracy"; accuracies go from 0 to 1; required.
        metric: String [by read_name],
        /// The figure claimed; required, or `at_least` or `at_most` in its place.
        expected: Option<f64> [optional as Finite],
        /// How far from `expected` the figure may lie; required beside it.
        tolerance: Option<f64> [optional as NonNegative],
        /// The least that the figure may be; default no bound.
        at_least: Option<f64> [optional as Finite],
        /// The most that the figure may be; default no bound.
        at_most: Option<f64> [optional as Finite],
        /// Runs once for each of these seeds, and the claim holds if it holds for all: what a claim about a random attack
        /// needs; default the one seed of the spec.
        seeds: Vec<u64> [by read_seeds],
        /// Who claims it, and where data and weights are from; required.
        source: String [by read_name],
    }
    check(fields) {
        let bounds = at_least != Some(None) || at_most != Some(None);
        match (expected, tolerance) {
            (Some(None), Some(None)) if !bounds => {
                fields.fault("expected", "missing; expected the figure claimed, or at_least or at_most");
            }
            (Some(Some(_)), _) if bounds => {
                fields.fault("expected", "stands beside at_least or at_most; expected the one or the other");
            }
            (Some(Some(_)), Some(None)) => {
                fields.fault("tolerance", "missing; expected how far from `expected` the figure may lie");
            }
            (Some(None), Some(Some(_))) => {
                fields.fault("tolerance", "has no effect without `expected`");
            }
            _ => {}
        }
        if let (Some(Some(least)), Some(Some(most))) = (at_least, at_most)
            && least > most
        {
            fields.fault("at_least", &format!("expected at most at_most, {most}, found {least}"));
        }
    }
}

/// Reads a line of text that is not empty.
fn read_name(fields: &mut Fields, key: &'static str) -> Option<String> {
    fields.required_by(key, |value| match value.as_str() {
        Some(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => {
            Ok(text.to_owned())
        }
        _ => Err("a line of text in quotes".to_owned()),
    })
}

/// Reads the path of a spec; nothing inside where the claim holds the spec itself.
fn read_spec(fields: &mut Fields, key: &'static str) -> Option<Option<PathBuf>> {
    fields.required_by(key, |value| match (value.as_dict(), value.as_str()) {
        (Some(_), _) => Ok(None),
        (None, Some(path)) if !path.is_empty() => Ok(Some(path.into())),
        _ => Err("a table of the keys of a spec, or the path of a spec in quotes".to_owned()),
    })
}

fn read_seeds(fields: &mut Fields, key: &'static str) -> Option<Vec<u64>> {
    let seeds: Option<Vec<Seed>> = fields.optional(key)?;
    let seeds = seeds.map(|seeds| seeds.into_iter().map(u64::from).collect::<Vec<u64>>());
    if seeds
        .as_ref()
        .is_some_and(|seeds| seeds.is_empty() || repeats(seeds))
    {
        fields.fault(key, "expected at least one seed, and none twice");
        return None;
    }
    Some(seeds.unwrap_or_default())
}
