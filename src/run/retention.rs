//! Which checkpoint is the best, and which ones to keep: pure functions, so that the policy is tested without a disk.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// When a checkpoint was taken. Ordered by steps done, then by epochs done.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp {
    /// Optimizer steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
}

impl Stamp {
    /// The name of the checkpoint's file.
    pub fn file_name(self) -> String {
        format!("e{:04}-s{:08}.safetensors", self.epoch, self.step)
    }

    /// The stamp in a file's name; `None` for files that are no checkpoints.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (epoch, step) = file_name
            .strip_prefix('e')?
            .strip_suffix(".safetensors")?
            .split_once("-s")?;
        let stamp = Self {
            step: step.parse().ok()?,
            epoch: epoch.parse().ok()?,
        };
        (stamp.file_name() == file_name).then_some(stamp)
    }
}

/// The best checkpoint of a training so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// When it was taken.
    pub stamp: Stamp,
    /// How good it is, larger is better.
    pub score: f64,
}

impl Best {
    /// The better one of `best` and a checkpoint taken at `stamp`; the first of equals. A score that is no number is
    /// none.
    pub fn of(best: Option<Self>, stamp: Stamp, score: f64) -> Option<Self> {
        if !score.is_finite() || best.is_some_and(|best| best.score >= score) {
            return best;
        }
        Some(Self { stamp, score })
    }
}

/// The stamps among `all` that can go: all but the `keep` newest ones (at least one), and those that one of these calls
/// the best so far, by `best_of`.
pub fn superfluous(
    all: &[Stamp],
    keep: usize,
    best_of: impl Fn(Stamp) -> Option<Stamp>,
) -> Vec<Stamp> {
    let mut newest_first = all.to_vec();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    let older = newest_first.split_off(keep.max(1).min(newest_first.len()));
    let best: BTreeSet<Stamp> = newest_first.into_iter().filter_map(best_of).collect();
    older
        .into_iter()
        .filter(|stamp| !best.contains(stamp))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(steps: &[u64]) -> Vec<Stamp> {
        steps
            .iter()
            .map(|&step| Stamp {
                step,
                epoch: step / 10,
            })
            .collect()
    }

    #[test]
    fn the_newest_stay_and_what_each_of_them_calls_the_best() {
        let all = stamps(&[30, 10, 40, 20]);
        // What the checkpoints at 40 and at 30 call the best.
        for (keep, best, gone) in [
            (2, [None, None], vec![20, 10]),
            (2, [Some(10), Some(10)], vec![20]),
            (2, [Some(40), Some(30)], vec![20, 10]),
            (2, [Some(40), Some(20)], vec![10]),
            (1, [Some(20), Some(10)], vec![30, 10]),
            (0, [None, None], vec![30, 20, 10]),
            (9, [None, None], vec![]),
        ] {
            let best_of = |stamp: Stamp| {
                let best = if stamp.step == 40 { best[0] } else { best[1] };
                best.map(|step| stamps(&[step])[0])
            };
            assert_eq!(
                superfluous(&all, keep, best_of),
                stamps(&gone),
                "keep {keep}"
            );
        }
        assert!(superfluous(&[], 2, |_| None).is_empty());
    }

    #[test]
    fn the_first_of_equals_is_the_best() {
        let [first, second] = [1, 2].map(|step| Stamp { step, epoch: 0 });
        let one = Best::of(None, first, 0.5);
        assert_eq!(one.unwrap().stamp, first);
        for score in [0.5, 0.4, f64::NAN] {
            assert_eq!(Best::of(one, second, score), one);
        }
        assert_eq!(Best::of(one, second, 0.6).unwrap().stamp, second);
        assert_eq!(Best::of(None, first, f64::NAN), None);
    }

    #[test]
    fn names_parse_back_and_strangers_do_not() {
        let stamp = Stamp {
            step: 1200,
            epoch: 3,
        };
        assert_eq!(stamp.file_name(), "e0003-s00001200.safetensors");
        assert_eq!(Stamp::parse(&stamp.file_name()), Some(stamp));
        let long = Stamp {
            step: 1_000_000_000,
            epoch: 12_345,
        };
        assert_eq!(Stamp::parse(&long.file_name()), Some(long));
        for name in [
            "last",
            "final.safetensors",
            "e3-s1200.safetensors",
            "e0003-s00001200",
        ] {
            assert_eq!(Stamp::parse(name), None, "{name}");
        }
    }
}
