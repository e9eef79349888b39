//! The files of CIFAR-10 and CIFAR-100, in either of the two forms in which they are published.

use super::download::{Archive, Content};
use super::source::{Format, Source};
use super::{Dataset, Pixels, Split, cifar_binary, cifar_pickle};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Channels, height, width.
pub(super) const SHAPE: [usize; 3] = [3, 32, 32];
pub(super) const IMAGE_LEN: usize = 3 * 32 * 32;

/// What an archive unpacks to.
pub(super) struct Batches {
    /// What the files are called, such as "CIFAR-10's binary batches".
    pub name: &'static str,
    /// The archive that they come in.
    pub archive: &'static str,
    /// The folder inside the archive.
    pub folder: &'static str,
    pub train: &'static [&'static str],
    pub test: &'static [&'static str],
    pub form: Form,
}

/// How a file holds images and labels.
pub(super) enum Form {
    /// Records of some bytes of labels, of which the last one counts, and the bytes of an image.
    Binary { label_bytes: usize },
    /// A pickled dict with `data`, an array of bytes (N, 3072), and a list of labels under this key.
    Pickle { labels: &'static str },
}

/// What has been read of a split.
#[derive(Default)]
pub(super) struct Read {
    pub pixels: Vec<u8>,
    pub labels: Vec<u32>,
}

impl Batches {
    /// The archive as it is published; `members`: the bytes of the training files, then of the test files.
    pub(super) fn archive(
        &self,
        md5: &str,
        bytes: u64,
        members: &[u64],
        mirrors: &[&str],
    ) -> Archive {
        let names = self.train.iter().chain(self.test);
        let members = names.zip(members);
        let content = Content::TarGz {
            folder: self.folder.to_owned(),
            members: members
                .map(|(name, bytes)| (name.to_string(), *bytes))
                .collect(),
        };
        Archive::new(self.archive, md5, bytes, content, mirrors)
    }

    fn file_names(&self, split: Split) -> &'static [&'static str] {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }
}

impl Format for Batches {
    fn name(&self) -> &'static str {
        self.name
    }

    fn find(&self, dir: &Path) -> Option<PathBuf> {
        let has = |folder: &PathBuf| {
            let mut names = self.train.iter().chain(self.test);
            names.any(|name| folder.join(name).is_file())
        };
        [dir.to_path_buf(), dir.join(self.folder)]
            .into_iter()
            .find(has)
    }

    fn files(&self, folder: &Path, split: Split) -> Vec<PathBuf> {
        let paths = self.file_names(split).iter().map(|name| folder.join(name));
        paths.filter(|path| path.is_file()).collect()
    }

    /// With a limit, no more files than it needs are read.
    fn read(&self, folder: &Path, split: Split, source: &Source) -> Result<Dataset> {
        let limit = source.limit.unwrap_or(usize::MAX);
        let classes = source.kind.class_names().unwrap_or_default();
        let mut read = Read::default();
        for name in self.file_names(split) {
            if read.labels.len() >= limit {
                break;
            }
            let path = folder.join(name);
            if !path.is_file() {
                return Err(Error::failed(format!(
                    "{}: not found; unpack all of {}: {}",
                    path.display(),
                    self.archive,
                    [self.train, self.test].concat().join(", "),
                )));
            }
            match self.form {
                Form::Binary { label_bytes } => {
                    let wanted = limit - read.labels.len();
                    cifar_binary::append(&path, label_bytes, classes.len(), wanted, &mut read)?;
                }
                Form::Pickle { labels } => {
                    let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
                    cifar_pickle::append(&bytes, labels, classes.len(), &mut read).map_err(
                        |fault| {
                            Error::failed(format!(
                                "{}: cannot be read as one of {}: {fault}; fetch the file again",
                                path.display(),
                                self.name,
                            ))
                        },
                    )?;
                }
            }
        }
        let whole = Dataset {
            shape: SHAPE,
            pixels: Pixels::U8(read.pixels.into()),
            names: split.example_names(read.labels.len()),
            labels: read.labels,
            classes,
        };
        Ok(whole.limit(limit))
    }
}
