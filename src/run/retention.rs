//! Which checkpoints to keep: a pure function, so that the policy is tested without a disk.

/// When a checkpoint was taken. Ordered by steps done, then by epochs done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// The stamps among `all` that can go: all but the `keep` newest ones (at least one) and the best one.
pub fn superfluous(all: &[Stamp], keep: usize, best: Option<Stamp>) -> Vec<Stamp> {
    let mut newest_first = all.to_vec();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    newest_first
        .into_iter()
        .skip(keep.max(1))
        .filter(|&stamp| Some(stamp) != best)
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
    fn the_newest_and_the_best_stay() {
        let all = stamps(&[30, 10, 40, 20]);
        for (keep, best, gone) in [
            (2, None, vec![20, 10]),
            (2, Some(10), vec![20]),
            (2, Some(40), vec![20, 10]),
            (1, Some(20), vec![30, 10]),
            (0, None, vec![30, 20, 10]),
            (9, None, vec![]),
        ] {
            let best = best.map(|step| stamps(&[step])[0]);
            assert_eq!(superfluous(&all, keep, best), stamps(&gone), "keep {keep}");
        }
        assert!(superfluous(&[], 2, None).is_empty());
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
