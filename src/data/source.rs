//! What a spec's `[data]` section can ask for: kinds of data, each a record, and the formats of their files.

use super::download::{Part, Published};
use super::{Dataset, Decoded};
use crate::Result;
use rand_chacha::ChaCha8Rng;
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

    /// What its images are called among the inputs of a run.
    pub fn images(self) -> &'static str {
        match self {
            Self::Train => "training images",
            Self::Test => "test images",
        }
    }

    /// Names for examples that have none of their own: `train-000000`, `train-000001`, ...
    pub(super) fn example_names(self, count: usize) -> Vec<String> {
        (0..count)
            .map(|index| format!("{}-{index:06}", self.name()))
            .collect()
    }
}

/// A kind of data that a spec can name. Two are equal if they have the same name.
pub struct DataKind {
    /// The name in a spec.
    pub name: &'static str,
    /// One line on what it is.
    pub about: &'static str,
    /// Channels, height, width of its images; none where the files decide.
    pub shape: Option<[usize; 3]>,
    /// Its classes in the order of their labels; none where the files decide.
    pub classes: Option<&'static [&'static str]>,
    /// What `data.normalize` means by its name, where there is something customary.
    pub statistics: Option<Statistics>,
    pub images: Images,
    /// The files that can be fetched, with their checksums.
    pub downloads: Option<fn() -> Vec<Part>>,
}

/// Mean and standard deviation of the pixels of each channel, as intensities in [0, 1].
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    pub mean: &'static [f64],
    pub std: &'static [f64],
}

/// Where images come from.
pub enum Images {
    /// From files in a folder.
    Files {
        /// The formats that they may have, in the order in which they are looked for.
        formats: &'static [&'static dyn Format],
        /// Which files these are, for messages about a folder without them.
        files: &'static str,
    },
    /// Drawn by the program, of a kind that has a shape and classes.
    Drawn(Drawing),
}

/// A set that the program draws.
#[derive(Clone, Copy)]
pub struct Drawing {
    /// Tells the random numbers of one set from those of another.
    pub set: u64,
    /// Draws an example of a class into an image of bytes (C, H, W).
    pub draw: fn(class: usize, rng: &mut ChaCha8Rng, image: &mut [u8]),
}

impl Drawing {
    /// The number of training examples without a limit.
    pub const TRAIN: usize = 60_000;
    /// The number of test examples without a limit.
    pub const TEST: usize = 10_000;
}

/// A format of a data set's files.
pub trait Format: Sync {
    /// What its files are called, such as "MNIST's IDX files".
    fn name(&self) -> &'static str;

    /// The folder that holds such files: `dir` itself or one inside it, as archives and other tools have it.
    fn find(&self, dir: &Path) -> Option<PathBuf>;

    /// The files that a split is read from, as far as they are there.
    fn files(&self, folder: &Path, split: Split) -> Vec<PathBuf>;

    /// Reads a split from the folder that [`Self::find`] gave. At least as many examples as `source.limit` asks for, if
    /// there are so many; those that a limit of the whole split keeps.
    ///
    /// # Errors
    /// Files that are missing, unreadable or damaged: each names the file, what was expected there and what to do.
    fn read(&self, folder: &Path, split: Split, source: &Source) -> Result<Dataset>;
}

impl DataKind {
    /// Whether the program draws the images itself and no files are needed.
    pub fn is_generated(&self) -> bool {
        matches!(self.images, Images::Drawn(_))
    }

    /// The number of images of a split where the program draws them.
    pub fn most(&self, split: Split) -> Option<usize> {
        self.is_generated().then_some(match split {
            Split::Train => Drawing::TRAIN,
            Split::Test => Drawing::TEST,
        })
    }

    /// Its classes, where the kind fixes them.
    pub fn class_names(&self) -> Option<Vec<String>> {
        let names = self.classes?.iter().map(|name| name.to_string());
        Some(names.collect())
    }

    /// What can be fetched of it.
    pub fn published(&self) -> Option<Published> {
        Some(Published {
            name: self.name.to_owned(),
            parts: self.downloads?(),
        })
    }

    /// The first of its formats of which `dir` has files, and the folder of these.
    pub fn detect(&self, dir: &Path) -> Option<(&'static dyn Format, PathBuf)> {
        let Images::Files { formats, .. } = self.images else {
            return None;
        };
        formats
            .iter()
            .find_map(|format| Some((*format, format.find(dir)?)))
    }

    /// How to come by the data, for messages about data that is missing from `dir`.
    pub(super) fn remedy(&self, dir: &Path) -> String {
        let files = match self.images {
            Images::Files { files, .. } => files,
            Images::Drawn(_) => "nothing: the program draws it",
        };
        match self.downloads {
            Some(_) => format!(
                "run `runner data get {self} --dir {}`, or put there {files}",
                dir.display()
            ),
            None => format!("put there {files}"),
        }
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for DataKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The kind of data.
    pub kind: &'static DataKind,
    /// The folder of the files; unused by generated sets.
    pub dir: Option<PathBuf>,
    /// The seed of a generated set. Not the run's: all runs see the same data unless they ask for other.
    pub seed: u64,
    /// At most so many examples, see [`Dataset::limit`]. Files beyond it are not decoded, examples not drawn.
    pub limit: Option<usize>,
    /// Height and width that all images must have, in place of the kind's own (or of the first image's).
    pub image_size: Option<[usize; 2]>,
    /// Length that the shorter side of each image is scaled to before the middle of `image_size` is cut out; none: images
    /// have their size already.
    pub resize: Option<usize>,
    /// Where the decoded images of the split are kept; none: files that have to be decoded are decoded each time.
    pub decoded: Option<Decoded>,
}

impl Source {
    /// The seed of generated sets unless another is given.
    pub const DATA_SEED: u64 = 2021;

    /// A set of the given kind, whole, from `dir` where it has files.
    pub fn new(kind: &'static DataKind, dir: Option<&Path>) -> Self {
        Self {
            kind,
            dir: dir.map(Path::to_path_buf),
            seed: Self::DATA_SEED,
            limit: None,
            image_size: None,
            resize: None,
            decoded: None,
        }
    }

    /// Channels, height, width that the images must have; none where the files decide.
    pub(super) fn expected_shape(&self) -> Option<[usize; 3]> {
        let [channels, height, width] = self.kind.shape?;
        let [height, width] = self.image_size.unwrap_or([height, width]);
        Some([channels, height, width])
    }
}
