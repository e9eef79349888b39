//! What the tables of a finished stage hold, so that rows which get lost later are missed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::error::{Error, Result};

/// The tables that a stage may leave.
const TABLES: [&str; 7] = [
    files::METRICS,
    files::SIMULATION,
    files::EXAMPLES,
    files::TRANSFER,
    files::TRANSFER_EXAMPLES,
    files::TRANSFER_MODELS,
    files::LAYER_SEARCH,
];

/// The content of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Its lines, the header included.
    lines: u64,
    /// Its checksum.
    blake3: String,
}

/// The content of each table in `folder`, by the file's name.
pub fn seal(folder: &Path) -> Result<BTreeMap<String, Seal>> {
    let mut seals = BTreeMap::new();
    for name in TABLES {
        if let Some(seal) = Seal::of(&folder.join(name))? {
            seals.insert(name.to_owned(), seal);
        }
    }
    Ok(seals)
}

/// What is wrong with the first table in `folder` that does not hold what it held, in words that name it.
pub fn broken(folder: &Path, seals: &BTreeMap<String, Seal>) -> Result<Option<String>> {
    for (name, seal) in seals {
        let path = folder.join(name);
        let what = match Seal::of(&path)? {
            Some(found) if found == *seal => continue,
            Some(found) if found.lines != seal.lines => {
                format!("has {} lines, and had {}", found.lines, seal.lines)
            }
            Some(_) => "does not hold what it held".to_owned(),
            None => format!("is gone, and had {} lines", seal.lines),
        };
        return Ok(Some(format!(
            "{}: {what} when its stage finished",
            path.display()
        )));
    }
    Ok(None)
}

impl Seal {
    /// The content of the table at `path`; `None` if there is no such file.
    fn of(path: &Path) -> Result<Option<Self>> {
        let Some(mut file) = Error::if_there("read", path, File::open(path))? else {
            return Ok(None);
        };
        let mut hash = blake3::Hasher::new();
        let mut lines = 0;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(Error::io("read", path))?,
            };
            hash.update(&buffer[..count]);
            lines += buffer[..count].iter().filter(|&&b| b == b'\n').count() as u64;
        }
        Ok(Some(Self {
            lines,
            blake3: hash.finalize().to_hex().to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_lost_or_changed_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(files::EXAMPLES);
        fs::write(&path, "a\n1\n2\n").unwrap();
        let seals = seal(folder.path()).unwrap();
        assert_eq!(seals.keys().collect::<Vec<_>>(), [files::EXAMPLES]);
        let found = || broken(folder.path(), &seals).unwrap().unwrap_or_default();
        assert_eq!(found(), "");
        for (text, expected) in [
            (
                "",
                "examples.csv: has 0 lines, and had 3 when its stage finished",
            ),
            ("a\n1\n", "has 2 lines, and had 3"),
            ("a\n1\n3\n", "examples.csv: does not hold what it held when"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(found().contains(expected), "{}", found());
        }
        fs::remove_file(&path).unwrap();
        assert!(found().contains("is gone, and had 3 lines"), "{}", found());
    }
}
