//! Data sets, augmentation and batches.
//!
//! [`load`] turns a [`Source`] into a [`Dataset`] that lies in memory as a whole: the four IDX files of MNIST, CIFAR-10
//! in its binary or Python form, images in class folders, or a set that is drawn by the program itself. [`Loader`]
//! deals a set out in batches. All files are treated as hostile: nothing is allocated on the word of a header alone.

pub mod adversarial;
pub mod augment;
pub mod cifar;
pub mod cifar_pickle;
mod class_folders;
pub mod dataset;
pub mod description;
pub mod download;
mod files;
pub mod format;
pub mod generated;
pub mod idx;
mod image_file;
pub mod image_folder;
pub mod loader;
mod placed;
pub mod png;
pub mod source;

pub use adversarial::{Expected, read_adversarial};
pub use augment::Augmentation;
pub use dataset::{Dataset, Pixels};
pub use description::Description;
pub use files::files;
pub use loader::{Batch, Loader};
pub use placed::Placed;
pub use source::{Source, SourceKind, Split, load};
