//! The kinds of data that a spec can name.

use super::KINDS;
use super::source::DataKind;
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use std::sync::LazyLock;

impl DataKind {
    /// The names of all kinds.
    pub fn names() -> &'static [&'static str] {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| KINDS.iter().map(|kind| kind.name).collect());
        &NAMES
    }

    /// The kind of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KINDS.iter().copied().find(|kind| kind.name == name)
    }
}

impl Serialize for DataKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for &'static DataKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer).unwrap_or_default();
        let unknown = || D::Error::unknown_variant(&name, DataKind::names());
        DataKind::find(&name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn records_are_whole() {
        let names: BTreeSet<&str> = DataKind::names().iter().copied().collect();
        assert_eq!(names.len(), KINDS.len(), "two kinds share a name");
        for kind in KINDS {
            let channels = kind.shape.map(|[channels, _, _]| channels);
            if let Some(statistics) = kind.statistics {
                assert_eq!(Some(statistics.mean.len()), channels, "{kind}");
                assert_eq!(Some(statistics.std.len()), channels, "{kind}");
            }
            if let Some(classes) = kind.classes {
                let distinct: BTreeSet<&&str> = classes.iter().collect();
                assert_eq!(distinct.len(), classes.len(), "{kind}");
            }
            if let Some(set) = kind.published() {
                let other = set.clone().from_mirrors(&["http://localhost:1/x/".into()]);
                for (part, other) in set.parts.iter().zip(&other.parts) {
                    for (form, other) in part.forms.iter().zip(&other.forms) {
                        assert!(!form.urls.is_empty(), "{kind}");
                        assert!(form.urls.iter().all(|url| url.starts_with("http")));
                        assert_eq!(form.md5.len(), 32);
                        assert_eq!(other.urls, [format!("http://localhost:1/x/{}", form.name)]);
                    }
                }
            }
        }
        assert!(DataKind::find("imagenet").is_none());
    }
}
