//! Where a value was written, in the words that errors and `run.json` use.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The layer: "spec", "extends", "environment RUNNER_ATTACK__K", "command line", "sweep".
    pub layer: String,
    /// The file of the layer and, where it is known, the line.
    pub file: Option<(PathBuf, Option<usize>)>,
}

impl Location {
    /// The words of `run.json`: the layer, then the file.
    pub fn provenance(&self) -> String {
        match self.file {
            Some(_) => format!("{} {self}", self.layer),
            None => self.layer.clone(),
        }
    }
}

/// The words that open an error: file and line, or the layer.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.file {
            Some((path, Some(line))) => write!(f, "{}:{line}", path.display()),
            Some((path, None)) => write!(f, "{}", path.display()),
            None => f.write_str(&self.layer),
        }
    }
}

/// Knows where each value of the merged layers was written.
pub(crate) trait Locate {
    /// Where the value at `path` (the dotted path under which its layer holds it) was written.
    fn locate(&self, path: &str, tag: figment::value::Tag) -> Location;

    /// Where a missing key of the section at `path` belongs.
    fn locate_section(&self, path: &str) -> Location;
}
