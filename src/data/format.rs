//! Which format the files of a folder have.

use super::{cifar, cifar_pickle, class_folders, idx};
use std::fmt;
use std::path::{Path, PathBuf};

/// A format, with the folder that holds its files: the one given or a folder of the archive's name inside it.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// `data_batch_1.bin`, ...: see [`cifar`].
    CifarBinary(PathBuf),
    /// `data_batch_1`, ...: see [`cifar_pickle`].
    CifarPickle(PathBuf),
    /// `train-images-idx3-ubyte`, ...: see [`idx`].
    Idx(PathBuf),
    /// `train/<class>/*.png`, ...: see [`super::image_folder`].
    ImageFolder(PathBuf),
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, folder) = match self {
            Self::CifarBinary(folder) => ("CIFAR-10's binary batches", folder),
            Self::CifarPickle(folder) => ("CIFAR-10's Python batches", folder),
            Self::Idx(folder) => ("MNIST's IDX files", folder),
            Self::ImageFolder(folder) => ("images in class folders", folder),
        };
        write!(f, "{words} in {}", folder.display())
    }
}

/// Recognises the format by the names of the files, in the order of the variants of [`Format`].
pub fn detect(dir: &Path) -> Option<Format> {
    if let Some(folder) = cifar::find(dir) {
        return Some(Format::CifarBinary(folder));
    }
    if let Some(folder) = cifar_pickle::find(dir) {
        return Some(Format::CifarPickle(folder));
    }
    if let Some(folder) = idx::find(dir) {
        return Some(Format::Idx(folder));
    }
    class_folders::is_image_folder(dir).then(|| Format::ImageFolder(dir.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn formats_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str, file: &str| {
            let path = root.path().join(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
            root.path().join(name)
        };
        let binary = dir("a", "cifar-10-batches-bin/test_batch.bin");
        assert_eq!(
            detect(&binary),
            Some(Format::CifarBinary(binary.join("cifar-10-batches-bin")))
        );
        let pickles = dir("b", "cifar-10-batches-py/data_batch_1");
        assert_eq!(
            detect(&pickles),
            Some(Format::CifarPickle(pickles.join("cifar-10-batches-py")))
        );
        let digits = dir("c", "t10k-labels-idx1-ubyte.gz");
        assert_eq!(detect(&digits), Some(Format::Idx(digits.clone())));
        let images = dir("d", "train/cat/1.png");
        assert_eq!(detect(&images), Some(Format::ImageFolder(images.clone())));
        let flat = dir("e", "cat/1.jpeg");
        assert_eq!(detect(&flat), Some(Format::ImageFolder(flat.clone())));
        assert_eq!(detect(&dir("f", "notes/readme.txt")), None);
        assert_eq!(detect(&root.path().join("absent")), None);
    }
}
