//! Data sets, augmentation and batches.
//!
//! What a spec can name is a [`DataKind`], one record each, listed in `sets.rs`. [`load`] turns a [`Source`] into a
//! [`Dataset`] that lies in memory as a whole: from files in one of the kind's formats, or drawn by the program itself.
//! [`Loader`] deals a set out in batches. All files are treated as hostile: nothing is allocated on the word of a header
//! alone.

pub mod adversarial;
pub mod augment;
mod cifar;
mod cifar10;
mod cifar100;
mod cifar_binary;
mod cifar_pickle;
mod class_folders;
pub mod dataset;
pub mod description;
mod device_dataset;
pub mod download;
mod generated;
mod idx;
mod image_file;
pub mod image_folder;
mod load;
pub mod loader;
mod matlab;
mod mnist;
pub mod png;
mod section;
mod sets;
mod source;
mod svhn;

pub use adversarial::{Expected, read_adversarial};
pub use augment::Augmentation;
pub use cifar10::CIFAR10;
pub use cifar100::CIFAR100;
pub use dataset::{Dataset, Pixels};
pub use description::Description;
pub use device_dataset::DeviceDataset;
pub use generated::{digits::DIGITS, shapes::SHAPES};
pub use image_folder::IMAGE_FOLDER;
pub use load::{files, load};
pub use loader::{Batch, Loader};
pub use mnist::MNIST;
pub use section::{AugmentKind, DataSpec, ImagesRef, Normalize};
pub use sets::KINDS;
pub use source::{DataKind, Drawing, Format, Images, Source, Split, Statistics};
pub use svhn::SVHN;
