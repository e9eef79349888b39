//! How a [`Source`] becomes a [`Dataset`].

use super::KINDS;
use super::class_folders::folders;
use super::source::{Images, Source, Split};
use super::{Dataset, generated};
use crate::{Error, Result};
use std::path::PathBuf;

/// Loads one split of a set: into memory, or, of many large images in class folders, as files that are decoded batch by batch.
///
/// # Errors
/// Missing, unreadable or damaged files, images of another size than expected, an empty split: each names the file or
/// folder, what was expected there and what to do.
pub fn load(source: &Source, split: Split) -> Result<Dataset> {
    if source.limit == Some(0) {
        return Err(Error::spec(format!(
            "data.{}_limit: a limit of 0 leaves no examples; give 1 or more, or leave it out",
            split.name(),
        )));
    }
    let kind = source.kind;
    if let Images::Drawn(drawing) = &kind.images {
        return Ok(generated::generate(
            kind,
            drawing,
            source.seed,
            split,
            source.limit,
        ));
    }
    let Some(dir) = &source.dir else {
        return Err(Error::spec(format!(
            "data.dir: missing, the kind `{kind}` reads files from that folder"
        )));
    };
    if !dir.is_dir() {
        return Err(Error::failed(format!(
            "{}: no such folder (data.dir, kind `{kind}`); {}",
            dir.display(),
            kind.remedy(dir),
        )));
    }
    // What may not be listed would look empty below.
    std::fs::read_dir(dir).map_err(Error::io("list", dir))?;
    let Some((format, folder)) = kind.detect(dir) else {
        let other = KINDS
            .iter()
            .find_map(|other| Some((other, other.detect(dir)?.0)));
        let other = match other {
            Some((other, format)) => format!(
                "it holds {}, which the kind `{other}` reads: set data.kind, or ",
                format.name()
            ),
            None => String::new(),
        };
        return Err(Error::failed(format!(
            "{}: nothing that the kind `{kind}` could read (data.dir); {other}{}",
            dir.display(),
            kind.remedy(dir),
        )));
    };
    let set = format.read(&folder, split, source)?;
    if let Some(expected) = source.expected_shape()
        && set.shape != expected
    {
        return Err(Error::failed(format!(
            "{}: holds images of {}, the kind `{kind}` expects {} (channels x height x width); name the right folder \
             in data.dir or the right data.kind",
            dir.display(),
            dimensions(set.shape),
            dimensions(expected),
        )));
    }
    Ok(match source.limit {
        Some(limit) if limit > set.len() => {
            tracing::warn!(
                "{}: data.{split}_limit = {limit} has no effect, there are {} such images",
                dir.display(),
                set.len(),
                split = split.name(),
            );
            set
        }
        Some(limit) => set.limit(limit),
        None => set,
    })
}

/// The files that a split is read from, as far as they are there; none for a generated set. For images in class
/// folders also the folders, whose names are the classes. What is missing or cannot be listed is left to [`load`] to report.
pub fn files(source: &Source, split: Split) -> Vec<PathBuf> {
    let found = source
        .dir
        .as_deref()
        .and_then(|dir| source.kind.detect(dir));
    found.map_or_else(Vec::new, |(format, folder)| format.files(&folder, split))
}

/// The classes of a split in the order of their labels where it is the folders' names that say so; none where the kind of data
/// fixes them.
///
/// # Errors
/// Folders that cannot be listed, or are no class folders.
pub fn classes(source: &Source, split: Split) -> Result<Vec<String>> {
    match (source.kind.classes, &source.dir) {
        (None, Some(dir)) => Ok(folders(dir, split, source.kind)?.classes),
        _ => Ok(Vec::new()),
    }
}

fn dimensions([channels, height, width]: [usize; 3]) -> String {
    format!("{channels}x{height}x{width}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{CIFAR10, DIGITS, DataKind, IMAGE_FOLDER, MNIST, SHAPES};
    use std::fs;

    #[test]
    fn missing_data_says_what_to_put_where() {
        let dir = tempfile::tempdir().unwrap();
        let message = |kind, dir: Option<&std::path::Path>| {
            load(&Source::new(kind, dir), Split::Train)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(&MNIST, Some(dir.path())),
            format!(
                "{0}: nothing that the kind `mnist` could read (data.dir); run `runner data get mnist --dir {0}`, or put \
                 there MNIST's four IDX files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
                 t10k-labels-idx1-ubyte, plain or with .gz",
                dir.path().display()
            )
        );
        let absent = dir.path().join("cifar");
        let text = message(&CIFAR10, Some(&absent));
        assert!(
            text.starts_with(&format!(
                "{}: no such folder (data.dir, kind `cifar10`)",
                absent.display()
            )),
            "{text}"
        );
        assert!(
            text.contains("data_batch_1.bin") && text.contains("test/<class>/*.png"),
            "{text}"
        );
        assert_eq!(
            message(&IMAGE_FOLDER, None),
            "data.dir: missing, the kind `image-folder` reads files from that folder"
        );
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let mut source = Source::new(&DIGITS, None);
        source.limit = Some(0);
        let message = load(&source, Split::Test).unwrap_err().to_string();
        assert!(
            message.starts_with("data.test_limit: a limit of 0"),
            "{message}"
        );
    }

    #[test]
    fn the_kind_must_fit_what_the_folder_holds() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("test_batch.bin"), [0u8; 3073]).unwrap();
        let source = |kind| Source::new(kind, Some(dir.path()));
        assert_eq!(load(&source(&CIFAR10), Split::Test).unwrap().len(), 1);
        let message = load(&source(&MNIST), Split::Test).unwrap_err().to_string();
        assert!(
            message.contains(
                "it holds CIFAR-10's binary batches, which the kind `cifar10` reads: set data.kind"
            ),
            "{message}"
        );
    }

    #[test]
    fn kinds_agree_with_what_they_load() {
        for kind in KINDS.iter().filter(|kind| kind.is_generated()) {
            let source = Source {
                limit: Some(3),
                ..Source::new(kind, None)
            };
            let set = load(&source, Split::Train).unwrap();
            assert_eq!(
                (Some(set.shape), Some(set.classes)),
                (kind.shape, kind.class_names())
            );
            assert_eq!(set.labels.len(), 3);
        }
    }

    fn listed(dir: &std::path::Path, kind: &'static DataKind, split: Split) -> Vec<String> {
        let paths = files(&Source::new(kind, Some(dir)), split);
        let names = paths.iter().map(|path| path.strip_prefix(dir).unwrap());
        let mut names: Vec<String> = names.map(|path| path.display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_split_has_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let make = |set: &str, files: &str| {
            let dir = folder.path().join(set);
            for file in files.split(' ') {
                let path = dir.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x").unwrap();
            }
            dir
        };
        let set = make(
            "cifar",
            "data_batch_1.bin data_batch_2.bin test_batch.bin notes.txt",
        );
        let train = listed(&set, &CIFAR10, Split::Train);
        assert_eq!(train, ["data_batch_1.bin", "data_batch_2.bin"]);
        assert_eq!(listed(&set, &CIFAR10, Split::Test), ["test_batch.bin"]);
        let inner = "cifar-10-batches-py/test_batch";
        let set = make(
            "pickles",
            "cifar-10-batches-py/data_batch_1 cifar-10-batches-py/test_batch",
        );
        assert_eq!(listed(&set, &CIFAR10, Split::Test), [inner]);
        let set = make("mnist", "train-images-idx3-ubyte.gz t10k-labels-idx1-ubyte");
        let labels = "t10k-labels-idx1-ubyte";
        assert_eq!(listed(&set, &MNIST, Split::Test), [labels]);
        let set = make(
            "images",
            "train/a/1.png train/b/1.png test/b/2.jpg test/b/.hidden",
        );
        let train = listed(&set, &IMAGE_FOLDER, Split::Train);
        assert_eq!(
            train,
            ["train/a", "train/a/1.png", "train/b", "train/b/1.png"]
        );
        let test = listed(&set, &IMAGE_FOLDER, Split::Test);
        assert_eq!(test, ["test/b", "test/b/2.jpg", "train/a", "train/b"]);
        assert!(listed(&set, &SHAPES, Split::Train).is_empty());
    }
}
