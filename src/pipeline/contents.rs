//! Hashes of the contents of files, remembered from one start to the next.
//!
//! The memory is a file under the results folder with a line a hash: what the files looked like from outside (path,
//! size, times and inode of each), the hash of their contents, and a checksum of both. Lines are only appended, and a
//! line that is damaged is no line: at worst the files are read once more.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use crate::run::{files, interrupt};
use crate::{Error, Result};

/// A file that was written to so recently may change again without a new time: file systems count in steps.
const SETTLED: Duration = Duration::from_secs(2);
/// Digits of a line's checksum.
const CHECK: usize = 16;

/// The contents of files by what they look like from outside.
pub struct Contents {
    memory: PathBuf,
    known: Mutex<HashMap<String, String>>,
}

impl Contents {
    /// Takes up the memory in the folder of all results, if there is one.
    pub fn open(results: &Path) -> Self {
        let memory = results.join(files::CONTENTS);
        let text = fs::read(&memory).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let known = text.lines().filter_map(remembered).collect();
        Self {
            memory,
            known: Mutex::new(known),
        }
    }

    /// The BLAKE3 hash of a file.
    ///
    /// # Errors
    /// A file that is missing, is no regular file or cannot be read.
    pub fn of_file(&self, path: &Path) -> Result<String> {
        self.hash("file", &[path.to_path_buf()], || {
            Ok(read(path)?.to_hex().to_string())
        })
    }

    /// The hash of the names, sizes and contents of files; of folders among them the names. Names are those below `dir`,
    /// in order: it makes no difference where the set lies or how it is listed.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn of_set(&self, dir: &Path, mut paths: Vec<PathBuf>) -> Result<String> {
        paths.sort();
        self.hash("set", &paths, || {
            let parts = paths.par_iter().map(|path| {
                interrupt::check()?;
                let about = fs::metadata(path).map_err(Error::io("read", path))?;
                let content = match about.is_dir() {
                    true => None,
                    false => Some((about.len(), read(path)?)),
                };
                Ok((path.strip_prefix(dir).unwrap_or(path), content))
            });
            let mut whole = blake3::Hasher::new();
            for (name, content) in parts.collect::<Result<Vec<_>>>()? {
                whole.update(name.as_os_str().as_encoded_bytes());
                whole.update(&[0, u8::from(content.is_some())]);
                if let Some((size, hash)) = content {
                    whole.update(&size.to_le_bytes()).update(hash.as_bytes());
                }
            }
            Ok(whole.finalize().to_hex().to_string())
        })
    }

    /// The hash that is remembered for these files, or the one that `compute` makes of them. One at a time: what two
    /// runs want at once is read once.
    fn hash(
        &self,
        kind: &str,
        paths: &[PathBuf],
        compute: impl FnOnce() -> Result<String>,
    ) -> Result<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (looks, settled) = outside(kind, paths)?;
        if let Some(hash) = known.get(&looks) {
            return Ok(hash.clone());
        }
        let hash = compute()?;
        if settled && outside(kind, paths)?.0 == looks {
            self.remember(&looks, &hash);
            known.insert(looks, hash.clone());
        }
        Ok(hash)
    }

    /// A memory that cannot be written costs time at the next start and nothing else.
    fn remember(&self, looks: &str, hash: &str) {
        let text = format!("{looks} {hash}");
        let line = format!("{text} {}\n", checksum(&text));
        let written = self.memory.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| {
            let mut open = OpenOptions::new();
            let mut file = open.create(true).append(true).open(&self.memory)?;
            file.write_all(line.as_bytes())
        });
        if let Err(error) = written {
            tracing::debug!("{}: cannot write: {error}", self.memory.display());
        }
    }
}

/// A line of the memory, if it is whole.
fn remembered(line: &str) -> Option<(String, String)> {
    let (text, check) = line.rsplit_once(' ')?;
    let (looks, hash) = text.split_once(' ')?;
    (checksum(text) == check).then(|| (looks.to_owned(), hash.to_owned()))
}

fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().as_str()[..CHECK].to_owned()
}

/// The hash of what files look like from outside, and whether none of them was written to a moment ago.
fn outside(kind: &str, paths: &[PathBuf]) -> Result<(String, bool)> {
    let now = SystemTime::now();
    let mut settled = true;
    let mut looks = blake3::Hasher::new();
    looks.update(kind.as_bytes());
    // Of tens of thousands of files by all threads.
    let about = paths.par_iter().map(fs::metadata);
    let about: Vec<_> = about.collect();
    for (path, about) in paths.iter().zip(about) {
        let about = about.map_err(Error::io("read", path))?;
        let absolute = std::path::absolute(path).map_err(Error::io("find", path))?;
        looks.update(absolute.as_os_str().as_encoded_bytes());
        looks.update(&[0, u8::from(about.is_file())]);
        if about.is_file() {
            let modified = about.modified().map_err(Error::io("read", path))?;
            let since = now.duration_since(modified);
            settled &= since.is_ok_and(|since| since > SETTLED);
            looks.update(&about.len().to_le_bytes());
            times_and_inode(&about, &mut looks);
        }
    }
    Ok((looks.finalize().to_hex().to_string(), settled))
}

#[cfg(unix)]
fn times_and_inode(about: &Metadata, looks: &mut blake3::Hasher) {
    use std::os::unix::fs::MetadataExt;
    // The time of the last change of any kind, unlike that of the content, cannot be set back.
    for number in [
        about.mtime(),
        about.mtime_nsec(),
        about.ctime(),
        about.ctime_nsec(),
    ] {
        looks.update(&number.to_le_bytes());
    }
    for number in [about.dev(), about.ino()] {
        looks.update(&number.to_le_bytes());
    }
}

#[cfg(not(unix))]
fn times_and_inode(about: &Metadata, looks: &mut blake3::Hasher) {
    let modified = about.modified().ok();
    let since = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    looks.update(&since.unwrap_or_default().as_nanos().to_le_bytes());
}

/// The hash of the content of one regular file: anything else, such as a pipe, might be read for ever.
fn read(path: &Path) -> Result<blake3::Hash> {
    let about = fs::metadata(path).map_err(Error::io("read", path))?;
    if !about.is_file() {
        return Err(Error::failed(format!("{}: not a file", path.display())));
    }
    let mut hasher = blake3::Hasher::new();
    File::open(path)
        .and_then(|file| hasher.update_reader(file).map(|_| ()))
        .map_err(Error::io("read", path))?;
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that was last written to an hour ago.
    fn settled(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
    }

    fn lines(results: &Path) -> Vec<String> {
        let text = fs::read_to_string(results.join(files::CONTENTS)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_is_read_once_and_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (results, path) = (folder.path().join("results"), folder.path().join("w"));
        settled(&path, b"one");
        let one = Contents::open(&results).of_file(&path).unwrap();
        assert_eq!(one, blake3::hash(b"one").to_hex().as_str());
        // What the memory says is taken on trust: the file was not read.
        let line = &lines(&results)[0];
        let looks = line.split_once(' ').unwrap().0;
        let text = format!("{looks} told");
        let told = format!("{text} {}\n", checksum(&text));
        fs::write(results.join(files::CONTENTS), &told).unwrap();
        assert_eq!(Contents::open(&results).of_file(&path).unwrap(), "told");
        // Same size and the same time of writing.
        settled(&path, b"two");
        let two = Contents::open(&results).of_file(&path).unwrap();
        assert_eq!(two, blake3::hash(b"two").to_hex().as_str());
    }

    #[test]
    fn a_file_that_was_just_written_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        fs::write(&path, b"one").unwrap();
        let contents = Contents::open(folder.path());
        contents.of_file(&path).unwrap();
        assert!(lines(folder.path()).is_empty());
    }

    #[test]
    fn damaged_lines_are_left_out_and_two_writers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| settled(path, b"x"));
        let (first, second) = (Contents::open(folder.path()), Contents::open(folder.path()));
        first.of_file(&paths[0]).unwrap();
        second.of_file(&paths[1]).unwrap();
        assert_eq!(lines(folder.path()).len(), 2);
        let whole = fs::read(folder.path().join(files::CONTENTS)).unwrap();
        let known = |bytes: &[u8]| {
            fs::write(folder.path().join(files::CONTENTS), bytes).unwrap();
            let contents = Contents::open(folder.path());
            assert_eq!(
                contents.of_file(&paths[0]).unwrap(),
                blake3::hash(b"x").to_hex().as_str()
            );
            contents.known.into_inner().unwrap().len()
        };
        assert_eq!(known(&whole), 2);
        for position in [3, 70, 135] {
            let mut flipped = whole.clone();
            flipped[position] ^= 1;
            // The other line still stands, and the file is read again.
            assert_eq!(known(&flipped), 2, "byte {position}");
        }
        assert_eq!(known(&whole[..whole.len() - 5]), 1);
        assert_eq!(known(b"\xff\xfe not a memory at all"), 1);
    }

    #[test]
    fn a_set_is_its_names_and_contents_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let contents = Contents::open(folder.path());
        let set = |name: &str, files: &[(&str, &[u8])]| {
            let dir = folder.path().join(name);
            let paths = files.iter().map(|(file, bytes)| {
                settled(&dir.join(file), bytes);
                dir.join(file)
            });
            let paths = paths.collect();
            contents.of_set(&dir, paths).unwrap()
        };
        let one = set("one", &[("a/1.png", b"x"), ("b/1.png", b"y")]);
        assert_eq!(set("two", &[("b/1.png", b"y"), ("a/1.png", b"x")]), one);
        assert_ne!(set("three", &[("a/1.png", b"x"), ("b/1.png", b"z")]), one);
        assert_ne!(set("four", &[("a/1.png", b"x"), ("b/2.png", b"y")]), one);
        assert_ne!(set("five", &[("a/1.png", b"x")]), one);
    }
}
