//! The one error type of the crate, and the exit code each kind of failure ends with.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, in the words that the user reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or the spec is wrong; nothing has run. The text lists every fault.
    #[error("{0}")]
    Spec(String),
    /// A run could not start or go on. The text names what failed and what to do.
    #[error("{0}")]
    Failed(String),
    /// Claims could not be checked, and none fails. The text says how many.
    #[error("{0}")]
    Unchecked(String),
    /// A card has no room for a tensor. The text names the need and what is free.
    #[error("{0}")]
    NoMemory(String),
    /// A file could not be read, written or created.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        path: PathBuf,
        action: &'static str,
        source: std::io::Error,
    },
    /// A tensor operation failed: always a defect of the program or a lack of memory.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// Stopped by the user after a checkpoint was written.
    #[error("interrupted; the same command resumes this run")]
    Interrupted,
}

impl Error {
    /// A failure in plain words.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// A fault of the spec or the command line in plain words.
    pub fn spec(message: impl Into<String>) -> Self {
        Self::Spec(message.into())
    }

    /// An adapter for `map_err` on file operations: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }

    /// What a file operation gave; nothing where the file is not there.
    pub fn if_there<T>(
        action: &'static str,
        path: &Path,
        done: std::io::Result<T>,
    ) -> Result<Option<T>> {
        match done {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            done => done.map(Some).map_err(Self::io(action, path)),
        }
    }

    /// The same error with each of its lines, of which every one is a fault, in other words.
    pub fn each_line(self, words: impl Fn(&str) -> String) -> Self {
        let text = self.to_string();
        let text = text.lines().map(words).collect::<Vec<_>>().join("\n");
        match self {
            Self::Spec(_) => Self::Spec(text),
            Self::Interrupted => Self::Interrupted,
            _ => Self::Failed(text),
        }
    }

    /// The process's exit code: 1 failed, 2 bad usage or spec or claims that could not be checked, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spec(_) | Self::Unchecked(_) => 2,
            Self::Interrupted => 130,
            Self::Failed(_) | Self::NoMemory(_) | Self::Io { .. } | Self::Tensor(_) => 1,
        }
    }
}
