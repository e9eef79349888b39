//! What a spec's `[data]` section asks for, and how it becomes a [`Dataset`].

use super::format::{self, Format};
use super::image_folder::{self, Expectation};
use super::{Dataset, cifar, cifar_pickle, generated, idx};
use crate::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// Which half of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    Train,
    Test,
}

impl Split {
    /// `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// Names for examples that have none of their own: `train-000000`, `train-000001`, ...
    pub(super) fn example_names(self, count: usize) -> Vec<String> {
        (0..count)
            .map(|index| format!("{}-{index:06}", self.name()))
            .collect()
    }
}

/// The kinds of data that a spec can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// CIFAR-10: 3x32x32, ten classes, from files in any of the formats that [`Format`] knows.
    Cifar10,
    /// MNIST: 1x28x28, ten digits, from files.
    Mnist,
    /// Colour images of any one size in class folders.
    ImageFolder,
    /// Drawn by the program: ten shapes in colour, 3x32x32.
    Shapes,
    /// Drawn by the program: handwriting-like digits, 1x28x28.
    Digits,
}

impl SourceKind {
    /// The name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Mnist => "mnist",
            Self::ImageFolder => "image-folder",
            Self::Shapes => "shapes",
            Self::Digits => "digits",
        }
    }

    /// Channels, height, width of the kind's images; none where the files decide.
    pub fn shape(self) -> Option<[usize; 3]> {
        match self {
            Self::Cifar10 | Self::Shapes => Some([3, 32, 32]),
            Self::Mnist | Self::Digits => Some([1, 28, 28]),
            Self::ImageFolder => None,
        }
    }

    /// The names of the kind's classes; none where the files decide.
    pub fn classes(self) -> Option<Vec<String>> {
        match self {
            Self::Cifar10 => Some(cifar::CLASSES.map(String::from).to_vec()),
            Self::Mnist | Self::Digits => Some((0..10).map(|digit| digit.to_string()).collect()),
            Self::Shapes => Some(generated::shapes::CLASSES.map(String::from).to_vec()),
            Self::ImageFolder => None,
        }
    }

    /// Whether the program draws the images itself and no files are needed.
    pub fn is_generated(self) -> bool {
        matches!(self, Self::Shapes | Self::Digits)
    }

    /// How to come by the data, for messages about data that is missing from `dir`.
    fn remedy(self, dir: &Path) -> String {
        let files = match self {
            Self::Cifar10 => {
                "one of these: data_batch_1.bin to data_batch_5.bin and test_batch.bin (unpacked from \
                 cifar-10-binary.tar.gz), the same without .bin (from cifar-10-python.tar.gz), or images \
                 as train/<class>/*.png and test/<class>/*.png (or .jpg)"
            }
            Self::Mnist => {
                "MNIST's four IDX files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
                 t10k-labels-idx1-ubyte, plain or with .gz"
            }
            Self::ImageFolder | Self::Shapes | Self::Digits => {
                "images as train/<class>/*.png and test/<class>/*.png (or .jpg)"
            }
        };
        match self {
            Self::Cifar10 | Self::Mnist => format!(
                "run `runner data get {self} --dir {}`, or put there {files}",
                dir.display()
            ),
            _ => format!("put there {files}"),
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The kind of data.
    pub kind: SourceKind,
    /// The folder of the files; unused by generated sets.
    pub dir: Option<PathBuf>,
    /// The seed of a generated set. Not the run's: all runs see the same data unless they ask for other.
    pub seed: u64,
    /// At most so many examples, see [`Dataset::limit`]. Files beyond it are not decoded, examples not drawn.
    pub limit: Option<usize>,
    /// Height and width that all images must have, in place of the kind's own (or of the first image's).
    pub image_size: Option<[usize; 2]>,
}

impl Source {
    /// The seed of generated sets unless another is given.
    pub const DATA_SEED: u64 = 2021;

    /// A set of the given kind, whole, from `dir` where it has files.
    pub fn new(kind: SourceKind, dir: Option<&Path>) -> Self {
        Self {
            kind,
            dir: dir.map(Path::to_path_buf),
            seed: Self::DATA_SEED,
            limit: None,
            image_size: None,
        }
    }
}

/// Loads one split of a set into memory.
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
    if source.kind.is_generated() {
        return Ok(generated::generate(
            source.kind,
            source.seed,
            split,
            source.limit,
        ));
    }
    let kind = source.kind;
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
    let expected = expected_shape(source);
    let set = match format::detect(dir) {
        Some(Format::CifarBinary(folder)) => cifar::read(&folder, split, source.limit)?,
        Some(Format::CifarPickle(folder)) => cifar_pickle::read(&folder, split, source.limit)?,
        Some(Format::Idx(folder)) => idx::read(&folder, split)?,
        Some(Format::ImageFolder(folder)) => {
            let expectation = Expectation {
                size: expected
                    .map(|[_, height, width]| [height, width])
                    .or(source.image_size),
                channels: expected.map_or(image_folder::CHANNELS, |[channels, _, _]| channels),
                classes: kind.classes(),
                limit: source.limit,
            };
            image_folder::read(&folder, split, &expectation)?
        }
        None => {
            return Err(Error::failed(format!(
                "{}: nothing that the kind `{kind}` could read (data.dir); {}",
                dir.display(),
                kind.remedy(dir),
            )));
        }
    };
    if let Some(expected) = expected
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

fn expected_shape(source: &Source) -> Option<[usize; 3]> {
    let mut shape = source.kind.shape()?;
    if let Some([height, width]) = source.image_size {
        (shape[1], shape[2]) = (height, width);
    }
    Some(shape)
}

fn dimensions([channels, height, width]: [usize; 3]) -> String {
    format!("{channels}x{height}x{width}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_data_says_what_to_put_where() {
        let dir = tempfile::tempdir().unwrap();
        let message = |kind, dir: Option<&Path>| {
            load(&Source::new(kind, dir), Split::Train)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(SourceKind::Mnist, Some(dir.path())),
            format!(
                "{0}: nothing that the kind `mnist` could read (data.dir); run `runner data get mnist --dir {0}`, or put \
                 there MNIST's four IDX files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
                 t10k-labels-idx1-ubyte, plain or with .gz",
                dir.path().display()
            )
        );
        let absent = dir.path().join("cifar");
        let text = message(SourceKind::Cifar10, Some(&absent));
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
            message(SourceKind::ImageFolder, None),
            "data.dir: missing, the kind `image-folder` reads files from that folder"
        );
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let mut source = Source::new(SourceKind::Digits, None);
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
        assert_eq!(
            load(&source(SourceKind::Cifar10), Split::Test)
                .unwrap()
                .len(),
            1
        );
        let message = load(&source(SourceKind::Mnist), Split::Test)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("holds images of 3x32x32, the kind `mnist` expects 1x28x28"),
            "{message}"
        );
    }

    #[test]
    fn kinds_agree_with_what_they_load() {
        for kind in [SourceKind::Shapes, SourceKind::Digits] {
            let source = Source {
                limit: Some(3),
                ..Source::new(kind, None)
            };
            let set = load(&source, Split::Train).unwrap();
            assert_eq!(
                (Some(set.shape), Some(set.classes)),
                (kind.shape(), kind.classes())
            );
            assert_eq!(set.labels.len(), 3);
        }
    }
}
