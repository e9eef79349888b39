//! Which files a split is read from.

use super::class_folders::{class_folders, entries, split_folder};
use super::format::{self, Format};
use super::{Source, Split, cifar, cifar_pickle, idx};
use std::path::{Path, PathBuf};

/// The files that a split is read from, as far as they are there; none for a generated set. For images in class
/// folders also the folders, whose names are the classes. What is missing or cannot be listed is left to
/// [`super::load`] to report.
pub fn files(source: &Source, split: Split) -> Vec<PathBuf> {
    let dir = source.dir.as_deref();
    let Some(dir) = dir.filter(|_| !source.kind.is_generated()) else {
        return Vec::new();
    };
    let in_folder = |folder: PathBuf, names: Vec<String>| {
        let paths = names.into_iter().map(|name| folder.join(name));
        paths.filter(|path| path.is_file()).collect()
    };
    match format::detect(dir) {
        Some(Format::CifarBinary(folder)) => in_folder(folder, cifar::file_names(split)),
        Some(Format::CifarPickle(folder)) => in_folder(folder, cifar_pickle::file_names(split)),
        Some(Format::Idx(folder)) => idx::files(&folder, split),
        Some(Format::ImageFolder(folder)) => in_class_folders(&folder, split),
        None => Vec::new(),
    }
}

/// The class folders of a split with all that is in them. The classes of a test split are those of the training split
/// beside it.
fn in_class_folders(dir: &Path, split: Split) -> Vec<PathBuf> {
    let Ok(split_dir) = split_folder(dir, split) else {
        return Vec::new();
    };
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let names = class_folders(dir).unwrap_or_default();
        names.iter().map(|name| dir.join(name)).collect()
    };
    let mut paths = folders(&split_dir);
    let images = paths
        .iter()
        .flat_map(|class| entries(class).unwrap_or_default());
    let images: Vec<PathBuf> = images.collect();
    paths.extend(images);
    if split == Split::Test {
        paths.extend(folders(&dir.join("train")));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SourceKind;
    use std::fs;

    fn listed(dir: &Path, kind: SourceKind, split: Split) -> Vec<String> {
        let paths = files(&Source::new(kind, Some(dir)), split);
        let names = paths.iter().map(|path| path.strip_prefix(dir).unwrap());
        let mut names: Vec<String> = names.map(|path| path.display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_split_has_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let make = |set: &str, files: &[&str]| {
            let dir = folder.path().join(set);
            for file in files {
                let path = dir.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
            dir
        };
        let set = make(
            "cifar",
            &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "test_batch.bin",
                "notes.txt",
            ],
        );
        let kind = SourceKind::Cifar10;
        assert_eq!(
            listed(&set, kind, Split::Train),
            ["data_batch_1.bin", "data_batch_2.bin"]
        );
        assert_eq!(listed(&set, kind, Split::Test), ["test_batch.bin"]);
        let set = make(
            "pickles",
            &[
                "cifar-10-batches-py/data_batch_1",
                "cifar-10-batches-py/test_batch",
            ],
        );
        assert_eq!(
            listed(&set, kind, Split::Test),
            ["cifar-10-batches-py/test_batch"]
        );
        let set = make(
            "mnist",
            &["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"],
        );
        assert_eq!(
            listed(&set, SourceKind::Mnist, Split::Test),
            ["t10k-labels-idx1-ubyte"]
        );
        let set = make(
            "images",
            &[
                "train/a/1.png",
                "train/b/1.png",
                "test/b/2.jpg",
                "test/b/.hidden",
            ],
        );
        let kind = SourceKind::ImageFolder;
        assert_eq!(
            listed(&set, kind, Split::Train),
            ["train/a", "train/a/1.png", "train/b", "train/b/1.png"]
        );
        assert_eq!(
            listed(&set, kind, Split::Test),
            ["test/b", "test/b/2.jpg", "train/a", "train/b"]
        );
        assert!(listed(&set, SourceKind::Shapes, Split::Train).is_empty());
    }
}
