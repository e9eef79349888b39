//! One owner a folder.
//!
//! The lock is the operating system's lock on the file `.lock`, so it ends with its process, however that ends.
//! The file's text only says who owns it; the file itself is never removed, since another process may hold it open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files;
use super::{clock, interrupt, provenance};
use crate::error::{Error, Result};

/// Ownership of a folder, until dropped or until the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder`, making the folder if there is none. Errors, naming the owner, when another process
    /// holds it.
    pub fn acquire(folder: &Path) -> Result<Self> {
        // A reader that asks whether the folder is in use holds the lock for a moment, and a process that moves the folder
        // aside takes it from under this one, so one refusal proves nothing.
        for _ in 0..5 {
            if let Some(lock) = Self::try_acquire(folder)? {
                return Ok(lock);
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        Err(Error::failed(format!(
            "{}: in use by {}; wait until it ends, or stop it",
            folder.display(),
            owner(folder)
        )))
    }

    /// Takes the lock of `folder`, waiting for its owner to let go; `waiting` is called once, with the owner, when
    /// there is someone to wait for. Errors with [`Error::Interrupted`] when the user does not want to wait.
    pub fn wait(folder: &Path, waiting: impl FnOnce(&str)) -> Result<Self> {
        if let Some(lock) = Self::try_acquire(folder)? {
            return Ok(lock);
        }
        waiting(&owner(folder));
        loop {
            if interrupt::requested() {
                return Err(Error::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(100));
            if let Some(lock) = Self::try_acquire(folder)? {
                return Ok(lock);
            }
        }
    }

    fn try_acquire(folder: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = path(folder);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = match opened {
            // Moved aside since the line above.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::io("open", &path))?,
        };
        match file.try_lock() {
            Ok(()) if lies_at(&file, &path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(refused(&path, &error)),
        }
        let owner = format!(
            "process {} on {} since {}\n",
            std::process::id(),
            provenance::host_name(),
            clock::now()
        );
        file.set_len(0)
            .and_then(|()| file.write_all(owner.as_bytes()))
            .map_err(Error::io("write", &path))?;
        Ok(Some(Self { _file: file }))
    }
}

/// That a file system has no locks, which shared ones of clusters may lack.
fn refused(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!(
        "{}: cannot lock: {error}; results need a file system with locks (flock), without which two processes could write \
         to one run: Lustre has them where it is mounted with `flock`, NFS where its lock service runs",
        path.display()
    ))
}

/// Whether the open file is still the one at `path`: its folder may have been moved aside while it was being opened.
#[cfg(unix)]
fn lies_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let position = |about: fs::Metadata| (about.dev(), about.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(standing)) => position(open) == position(standing),
        _ => false,
    }
}

/// Elsewhere a folder with an open file in it cannot be moved.
#[cfg(not(unix))]
fn lies_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether a process owns `folder` at this moment.
pub fn is_held(folder: &Path) -> bool {
    File::open(path(folder))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn path(folder: &Path) -> PathBuf {
    folder.join(files::LOCK)
}

/// Who holds the lock, in the words of the lock file.
fn owner(folder: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path(folder)).and_then(|file| file.take(200).read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

/// The process that owns a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number on its machine.
    pub process: u32,
    /// The name of its machine.
    pub host: String,
}

impl Owner {
    /// The owner of `folder`, by the words of its lock file; nothing where they say none.
    pub fn of(folder: &Path) -> Option<Self> {
        let text = owner(folder);
        let (process, rest) = text.strip_prefix("process ")?.split_once(" on ")?;
        let (host, _) = rest.split_once(" since ")?;
        Some(Self {
            process: process.parse().ok()?,
            host: host.to_owned(),
        })
    }

    /// The process on this machine that works in `folder`; in words, why there is none to ask.
    pub fn here(folder: &Path) -> Result<Self, String> {
        match Self::of(folder) {
            _ if !is_held(folder) => Err("no process works on it".to_owned()),
            Some(owner) if owner.is_here() => Ok(owner),
            Some(owner) => Err(format!("runs on {}; stop it there", owner.host)),
            None => Err("its process is not known".to_owned()),
        }
    }

    /// Whether it runs on this machine.
    pub fn is_here(&self) -> bool {
        self.host == provenance::host_name()
    }

    /// Asks it to save what was done and end, as Ctrl-C does.
    ///
    /// # Errors
    /// The process is another user's, or gone.
    #[cfg(unix)]
    pub fn interrupt(&self) -> Result<()> {
        let process = libc::pid_t::try_from(self.process)
            .map_err(|_| Error::failed(format!("process {}: no such number", self.process)))?;
        // SAFETY: sending a signal touches no memory of this process.
        match unsafe { libc::kill(process, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(Error::failed(format!(
                "process {process}: cannot be asked to end: {}",
                std::io::Error::last_os_error()
            ))),
        }
    }

    /// Asks it to end, which can be done on Unix alone.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub fn interrupt(&self) -> Result<()> {
        Err(Error::failed(format!(
            "process {}: press Ctrl-C where it runs",
            self.process
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_said() {
        let error = std::io::Error::from(ErrorKind::Unsupported);
        let message = refused(Path::new("r/.lock"), &error).to_string();
        assert!(message.starts_with("r/.lock: cannot lock: "), "{message}");
        assert!(message.contains("flock"), "{message}");
    }

    #[test]
    fn a_second_owner_is_refused_and_told_who_owns_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(folder.path()).unwrap();
        assert!(is_held(folder.path()));
        let owned = Owner::of(folder.path()).unwrap();
        assert!(owned.is_here() && owned.process == std::process::id());
        let message = Lock::acquire(folder.path()).unwrap_err().to_string();
        let owner = format!("in use by process {} on ", std::process::id());
        assert!(message.contains(&owner), "{message}");
        assert!(message.contains("wait until it ends"), "{message}");
        drop(lock);
        assert!(!is_held(folder.path()));
        Lock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn waiting_ends_when_the_owner_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(folder.path()).unwrap();
        let mut told = String::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                drop(lock);
            });
            Lock::wait(folder.path(), |owner| told = owner.to_owned()).unwrap();
        });
        assert!(told.starts_with("process "), "{told}");
    }

    /// A process that opened the lock file before the folder was moved aside must not own what takes its place.
    #[cfg(unix)]
    #[test]
    fn the_lock_of_a_folder_that_was_moved_aside_is_worth_nothing() {
        let named = tempfile::tempdir().unwrap();
        let (folder, aside) = (named.path().join("run"), named.path().join("aside"));
        let mover = Lock::acquire(&folder).unwrap();
        let early = File::open(path(&folder)).unwrap();
        assert!(lies_at(&early, &path(&folder)));
        fs::rename(&folder, &aside).unwrap();
        assert!(!lies_at(&early, &path(&folder)));
        let _owner = Lock::acquire(&folder).unwrap();
        assert!(!lies_at(&early, &path(&folder)));
        drop(mover);
        assert!(is_held(&folder) && !is_held(&aside));
    }

    #[test]
    fn a_folder_without_a_lock_file_is_free() {
        assert!(!is_held(Path::new("/nonexistent")));
    }
}
