//! Data sets, augmentation and batches.
//!
//! What a spec can name is a [`DataKind`], one record each, listed below. [`load`] turns a [`Source`] into a
//! [`Dataset`]: from files in one of the kind's formats, or drawn by the program itself. It lies in memory as a whole, but
//! for many large images in class folders.
//! [`Loader`] deals a set out in batches. All files are treated as hostile: nothing is allocated on the word of a header
//! alone.

pub mod adversarial;
pub mod augment;
mod cifar;
mod cifar_binary;
mod cifar_pickle;
mod class_folders;
pub mod dataset;
mod decoded;
pub mod description;
mod device_dataset;
pub mod download;
pub mod extra;
mod generated;
mod idx;
mod image_file;
mod image_files;
mod load;
pub mod loader;
mod matlab;
mod mixed;
mod npy;
pub mod png;
mod section;
mod sets;
mod source;
pub mod validation;

/// The list of the kinds of data: the file of each and the record in it; then those that the program draws.
macro_rules! kinds {
    ($(mod $file:ident::$record:ident,)+ $(use $drawn:ident::$inner:ident::$name:ident,)+) => {
        $(pub mod $file; pub use $file::$record;)+
        $(pub use $drawn::$inner::$name;)+

        /// All kinds, in the order in which they are listed.
        pub static KINDS: &[&DataKind] = &[$(&$record,)+ $(&$name,)+];
    };
}

kinds! {
    mod cifar10::CIFAR10,
    mod cifar100::CIFAR100,
    mod mnist::MNIST,
    mod svhn::SVHN,
    mod image_folder::IMAGE_FOLDER,
    use generated::shapes::SHAPES,
    use generated::digits::DIGITS,
}

pub use adversarial::{Expected, adversarial_files, read_adversarial, read_adversarial_folder};
pub use augment::{Augmentation, AugmentationKind};
pub use dataset::{Dataset, Pixels};
pub use decoded::{Decoded, decoded_files};
pub use description::Description;
pub use device_dataset::DeviceDataset;
pub use extra::Extra;
pub use image_files::ImageFiles;
pub use load::{classes, files, load};
pub use loader::{Batch, Loader};
pub use mixed::Mixed;
pub use section::{DataSpec, ExtraSpec, ImagesRef, Normalize};
pub use source::{DataKind, Drawing, Format, Images, Source, Split, Statistics};
