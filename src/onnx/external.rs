//! Tensors that an ONNX file keeps in other files of its folder.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::proto::Entry;

/// The folder of an ONNX file, beyond which nothing is read.
pub struct Folder {
    path: PathBuf,
    /// Bytes of each file that were read: no tensor shares its numbers with another, or a small file could ask for
    /// any amount of memory.
    taken: RefCell<BTreeMap<PathBuf, u64>>,
}

impl Folder {
    /// The folder in which `file` lies.
    pub fn of(file: &Path) -> Self {
        Self {
            path: file.parent().unwrap_or(Path::new("")).to_path_buf(),
            taken: RefCell::default(),
        }
    }

    /// The file that entries of a tensor name.
    pub fn file(&self, entries: &[Entry]) -> Result<PathBuf, String> {
        let location = value(entries, "location").ok_or("it names no file for its numbers")?;
        let relative = Path::new(location);
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let path = self.path.join(relative);
        let refused = || {
            format!(
                "its numbers are said to be in \"{location}\", and only files in the folder of the ONNX file are read"
            )
        };
        if location.is_empty() || !relative.components().all(inside) {
            return Err(refused());
        }
        // A link could lead out of the folder.
        let folder = match self.path.as_os_str().is_empty() {
            true => Path::new("."),
            false => &self.path,
        };
        let real = std::fs::canonicalize(&path)
            .map_err(|error| format!("{}: cannot read: {error}", path.display()))?;
        match std::fs::canonicalize(folder) {
            Ok(folder) if real.starts_with(&folder) && real.is_file() => Ok(path),
            _ => Err(refused()),
        }
    }

    /// The bytes of a tensor.
    pub fn read(&self, entries: &[Entry]) -> Result<Bytes, String> {
        let path = self.file(entries)?;
        let fault = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let mut file = File::open(&path).map_err(|error| fault(&error))?;
        let size = file.metadata().map_err(|error| fault(&error))?.len();
        let number = |key| match value(entries, key) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(fault(&format!("{key} \"{text}\" is no number of bytes"))),
            },
        };
        let offset = number("offset")?.unwrap_or(0);
        let rest = size.checked_sub(offset);
        let length = number("length")?.or(rest).unwrap_or(0);
        if rest.is_none_or(|rest| length > rest) {
            let why = format!("{length} bytes from {offset} on are asked for, and it has {size}");
            return Err(fault(&why));
        }
        let mut all = self.taken.borrow_mut();
        let taken = all.entry(path.clone()).or_default();
        *taken = taken.saturating_add(length);
        if *taken > size {
            return Err(fault(
                &"its tensors ask for more bytes together than it has",
            ));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(length).read_to_end(&mut bytes))
            .map_err(|error| fault(&error))?;
        Ok(bytes.into())
    }
}

fn value<'a>(entries: &'a [Entry], key: &str) -> Option<&'a str> {
    let mut entries = entries.iter();
    Some(entries.find(|entry| entry.key == key)?.value.as_str())
}
