//! Files that are either whole or absent.
//!
//! A file is made under a temporary name in its own folder, synced, renamed over its final name, and the folder is
//! synced after it. A process killed at any moment leaves the old file or the new one, at worst beside a temporary
//! file, which [`clean`] removes when the folder is opened again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

const SUFFIX: &str = ".tmp";
/// How the temporary file begins that the safetensors crate makes beside the file that it is told to write.
const SAFETENSORS_PREFIX: &str = ".tmp";

/// Replaces the file at `path` with `bytes`. Errors when it cannot be written; the old file then still stands.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |temporary| {
        File::create(temporary)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(Error::io("write", path))
    })
}

/// Replaces the file at `path` with the one that `make` leaves at the temporary path that it is given.
pub fn replace(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = temporary_path(path);
    let made = make(&temporary).and_then(|()| {
        File::open(&temporary)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("sync", path))?;
        fs::rename(&temporary, path).map_err(Error::io("write", path))
    });
    if made.is_err() {
        // Nothing to add if this fails too: the first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    made?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames and new files in `folder` durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    // Only Unix lets a folder be opened and synced; elsewhere the rename alone has to do.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("sync", folder))?;
    }
    Ok(())
}

/// Removes the temporary files that a killed process left in `folder`. The caller owns the folder's lock.
pub fn clean(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if is_temporary(&path) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// A name no other writer uses: two threads, or a report beside a run, may replace the same file.
fn temporary_path(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{count}{SUFFIX}", std::process::id()))
}

fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| {
            let ours = name.starts_with('.') && name.ends_with(SUFFIX);
            ours || name.starts_with(SAFETENSORS_PREFIX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_no_temporary_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        let failed = replace(&path, |temporary| {
            fs::write(temporary, b"half").unwrap();
            Err(Error::failed("no space"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no space");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn leftovers_of_a_killed_process_are_cleaned_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let leftover = temporary_path(&folder.path().join("a.json"));
        fs::write(&leftover, b"half").unwrap();
        fs::write(folder.path().join(".tmpAb1Cd2"), b"half").unwrap();
        fs::write(folder.path().join("a.json"), b"whole").unwrap();
        fs::write(folder.path().join(".lock"), b"1").unwrap();
        clean(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [".lock", "a.json"]);
        clean(&folder.path().join("missing")).unwrap();
    }
}
