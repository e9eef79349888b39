//! Whether a folder that a process works in is still the one under its path.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A folder that was there when this was made. While it is held open, no other folder can get its number from the system.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    #[cfg_attr(not(unix), allow(dead_code))]
    folder: Option<File>,
}

impl Presence {
    /// Remembers the folder at `path`.
    pub fn of(path: &Path) -> Result<Self> {
        // Only Unix lets a folder be opened; elsewhere it is the path alone that is looked at.
        let folder = match cfg!(unix) {
            true => Some(File::open(path).map_err(Error::io("open", path))?),
            false => None,
        };
        Ok(Self {
            path: path.to_owned(),
            folder,
        })
    }

    /// An error that says so if the folder was removed, moved or replaced.
    pub fn check(&self) -> Result<()> {
        if fs::metadata(&self.path).is_ok_and(|found| self.is(&found)) {
            return Ok(());
        }
        Err(Error::failed(format!(
            "{}: this folder was removed, moved or replaced while the run went on, and its results with it; start the \
             same command again",
            self.path.display()
        )))
    }

    #[cfg(unix)]
    fn is(&self, found: &fs::Metadata) -> bool {
        use std::os::unix::fs::MetadataExt;
        let mine = self.folder.as_ref().and_then(|file| file.metadata().ok());
        mine.is_some_and(|mine| (mine.dev(), mine.ino()) == (found.dev(), found.ino()))
    }

    #[cfg(not(unix))]
    fn is(&self, found: &fs::Metadata) -> bool {
        found.is_dir()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_removed_moved_or_replaced_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::create_dir(&path).unwrap();
        let presence = Presence::of(&path).unwrap();
        presence.check().unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        let message = presence.check().unwrap_err().to_string();
        assert!(
            message.contains("run: this folder was removed"),
            "{message}"
        );
        fs::create_dir(&path).unwrap();
        assert_eq!(presence.check().is_err(), cfg!(unix));
    }
}
