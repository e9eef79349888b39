//! What a run reads from outside the results folder, as `run.json` records it.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Digits of a hash that a message shows.
const SHOWN: usize = 8;

/// A file or a set of files that a run reads, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// `network`, `weights`, `training images` or `test images`.
    pub what: String,
    /// Where they lie: a file or a folder, as the spec names it.
    pub path: String,
    /// BLAKE3 of the file; of a set of files, of their names, sizes and contents.
    pub hash: String,
    /// The classes in the order of their labels, where the names of folders say them; not part of what is compared, since the
    /// hash covers it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl Input {
    /// An input with the hash of its content.
    pub fn new(what: &str, path: &Path, hash: String) -> Self {
        Self {
            what: what.to_owned(),
            path: path.display().to_string(),
            hash,
            classes: Vec::new(),
        }
    }

    /// The inputs that were others before, in words.
    pub fn changes(before: &[Self], now: &[Self]) -> Vec<String> {
        let pairs = now.iter().flat_map(|now| {
            let same = |before: &&Self| (&before.what, &before.path) == (&now.what, &now.path);
            before.iter().find(same).map(|before| (before, now))
        });
        let changed = pairs.filter(|(before, now)| before.hash != now.hash);
        let words = changed.map(|(before, now)| {
            let [before, after] =
                [&before.hash, &now.hash].map(|hash| hash.chars().take(SHOWN).collect::<String>());
            format!(
                "{} of {} changed (content {before}, now {after})",
                now.what, now.path
            )
        });
        words.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_name_is_compared() {
        let input = |what: &str, hash: &str| Input::new(what, Path::new("data/a"), hash.repeat(16));
        let before = [input("test images", "abcd"), input("weights", "0123")];
        assert!(Input::changes(&before, &before).is_empty());
        assert!(Input::changes(&before, &[input("training images", "abcd")]).is_empty());
        assert_eq!(
            Input::changes(
                &before,
                &[input("test images", "dcba"), input("weights", "0123")]
            ),
            ["test images of data/a changed (content abcdabcd, now dcbadcba)"]
        );
    }
}
