//!
//! [`load`] turns a [`Source`] into a [`Dataset`] that lies in memory as a whole: the four IDX files of MNIST, CIFAR-10
//! in its binary form, images in class folders, or a set that is drawn by the program itself.
//! All files are treated as hostile: nothing is allocated on the word of a header alone.

pub mod cifar;
pub mod dataset;
pub mod format;
pub mod generated;
pub mod idx;
pub mod image_folder;
pub mod source;

pub use dataset::{Dataset, Pixels};
pub use source::{Source, SourceKind, Split, load};
