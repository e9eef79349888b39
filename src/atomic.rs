//! Files that are either whole or absent.
//!
//! A file is made under a temporary name in its own folder, synced, renamed over its final name, and the folder is
//! synced after it. A process killed at any moment leaves the old file or the new one, at worst beside a temporary
//! file, which [`clean`] removes when the folder is opened again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

const SUFFIX: &str = ".tmp";
/// Age after which a temporary file belongs to no writer, whatever process bears the id in its name by then.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

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
    let folder = parent(path);
    let made = make(&temporary).and_then(|()| {
        File::open(&temporary)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("sync", path))?;
        fs::rename(&temporary, path).map_err(Error::io("write", path))
    });
    if made.is_err() {
        // Nothing to add if this fails too: the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        if !folder.is_dir() {
            return Err(no_folder(path));
        }
    }
    made?;
    sync_folder(folder)
}

/// The error for a file whose folder is not there.
pub fn no_folder(path: &Path) -> Error {
    Error::failed(format!(
        "{}: cannot write: its folder is not there, or was removed in the meantime",
        path.display()
    ))
}

/// The folder of `path`.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes renames and new files in `folder` durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
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
    clean_where(folder, |_| true)
}

/// The same in a folder that several processes write to: the files of those that still live stay.
pub fn clean_abandoned(folder: &Path) -> Result<()> {
    clean_where(folder, |path| {
        let old = fs::metadata(path)
            .and_then(|data| data.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > ABANDONED));
        old || writer(path).is_some_and(|process| !is_alive(process))
    })
}

fn clean_where(folder: &Path, abandoned: impl Fn(&Path) -> bool) -> Result<()> {
    let entries = Error::if_there("read", folder, fs::read_dir(folder))?;
    for entry in entries.into_iter().flatten() {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if !is_temporary(&path) || !abandoned(&path) {
            continue;
        }
        // Gone where another process cleans the same folder, or its writer has just renamed it.
        Error::if_there("remove", &path, fs::remove_file(&path))?;
    }
    Ok(())
}

/// The process in the name of a temporary file.
fn writer(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let (process, _count) = name.rsplit_once('.')?.1.split_once('-')?;
    process.parse().ok()
}

#[cfg(unix)]
fn is_alive(process: u32) -> bool {
    let Ok(process) = libc::pid_t::try_from(process) else {
        return false;
    };
    // SAFETY: signal 0 asks whether the process is there and sends nothing.
    let asked = unsafe { libc::kill(process, 0) };
    asked == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Elsewhere age alone tells.
#[cfg(not(unix))]
fn is_alive(_process: u32) -> bool {
    true
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
        .is_some_and(|name| name.starts_with('.') && name.ends_with(SUFFIX))
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
        fs::write(folder.path().join("a.json"), b"whole").unwrap();
        fs::write(folder.path().join(".lock"), b"1").unwrap();
        clean(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [".lock", "a.json"]);
        clean(&folder.path().join("missing")).unwrap();
    }

    #[test]
    fn beside_other_writers_only_the_files_of_dead_processes_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap();
        let mine = temporary_path(&folder.path().join("summary.csv"));
        let names_of = [mine.clone(), folder.path().join(".lock")];
        let dead = folder
            .path()
            .join(format!(".summary.csv.{}-3.tmp", child.id()));
        let old = folder.path().join(".other.csv.tmp");
        for path in names_of.iter().chain([&dead, &old]) {
            fs::write(path, b"half").unwrap();
        }
        let yesterday = std::time::SystemTime::now() - 2 * ABANDONED;
        let file = File::options().write(true).open(&old).unwrap();
        file.set_modified(yesterday).unwrap();
        clean_abandoned(folder.path()).unwrap();
        assert!(names_of.iter().all(|path| path.exists()));
        assert!(!dead.exists() && !old.exists());
    }

    #[test]
    fn a_folder_that_is_gone_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let message = write(&folder.path().join("gone/a.json"), b"new")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("gone/a.json: cannot write: its folder is not there"),
            "{message}"
        );
    }
}
