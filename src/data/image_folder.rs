//! Images in class folders: `<dir>/train/<class>/*` and `<dir>/test/<class>/*`, or `<dir>/<class>/*` for a test split
//! alone. PNG and JPEG; red, green, blue in this order.

use super::class_folders::{Folders, folders, is_image_folder, list_images, split_files};
use super::dataset::limited_indices;
use super::image_file;
use super::image_files::ImageFiles;
use super::source::{DataKind, Format, Images, Source};
use super::{Dataset, Pixels, Split};
use crate::Result;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Colour images of any one size and any classes.
pub static IMAGE_FOLDER: DataKind = DataKind {
    name: "image-folder",
    about: "PNG and JPEG images in a folder per class",
    shape: None,
    classes: None,
    statistics: None,
    images: Images::Files {
        formats: &[&ClassFolders],
        files: "images as train/<class>/*.png and test/<class>/*.png (or .jpg)",
    },
    downloads: None,
};

/// `train/<class>/*.png`, ...
pub(super) struct ClassFolders;

impl Format for ClassFolders {
    fn name(&self) -> &'static str {
        "images in class folders"
    }

    fn find(&self, dir: &Path) -> Option<PathBuf> {
        is_image_folder(dir).then(|| dir.to_path_buf())
    }

    fn files(&self, folder: &Path, split: Split) -> Vec<PathBuf> {
        split_files(folder, split)
    }

    fn read(&self, folder: &Path, split: Split, source: &Source) -> Result<Dataset> {
        read(folder, split, source, IN_MEMORY)
    }
}

/// The channels of images whose kind does not say: red, green, blue.
pub const CHANNELS: usize = 3;

/// Bytes of pixels up to which a split lies in memory: all of CIFAR-10's training images, some 1,700 of 224x224.
const IN_MEMORY: usize = 256 << 20;

/// Reads one split, into memory where it has at most `most` bytes: images are then decoded in parallel, and all of them are
/// checked; otherwise each is decoded when it is asked for. Their order is that of class and file name.
///
/// # Errors
/// Images of different sizes or not of the expected one, files that are no images, class folders that are empty or
/// unknown: each names the file or folder.
pub(super) fn read(dir: &Path, split: Split, source: &Source, most: usize) -> Result<Dataset> {
    let shape = source.expected_shape();
    let channels = shape.map_or(CHANNELS, |[channels, ..]| channels);
    let Folders {
        path,
        found,
        classes,
    } = folders(dir, split, source.kind)?;
    let mut files = Vec::new();
    // By label, so that the limit can see that the set is sorted by class.
    for (label, class) in classes.iter().enumerate() {
        if found.contains(class) {
            list_images(&path.join(class), label as u32, &mut files)?;
        }
    }
    if let Some(limit) = source.limit {
        let labels: Vec<u32> = files.iter().map(|file| file.label).collect();
        let kept: HashSet<usize> = limited_indices(&labels, limit).into_iter().collect();
        let mut position = 0..;
        files.retain(|_| position.next().is_some_and(|index| kept.contains(&index)));
    }

    let size = shape.map(|[_, height, width]| [height, width]);
    let [height, width] = match size.or(source.image_size) {
        Some(size) => size,
        None => image_file::size_of(&files[0].path)?,
    };
    let labels = files.iter().map(|file| file.label).collect();
    let (paths, names) = files.into_iter().map(|file| (file.path, file.name)).unzip();
    let images = ImageFiles {
        paths,
        shape: [channels, height, width],
        resize: source.resize,
    };
    let pixels = match images.values() {
        Some(values) if values <= most => Pixels::U8(match &source.decoded {
            Some(decoded) => decoded.pixels(&images, dir)?,
            None => images.decode_all()?.into(),
        }),
        _ => Pixels::Files(images),
    };
    Ok(Dataset {
        shape: [channels, height, width],
        pixels,
        labels,
        names,
        classes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{CIFAR10, MNIST};
    use image::{ImageBuffer, Rgb};
    use std::fs;

    fn read(dir: &Path, split: Split, source: &Source) -> Result<Dataset> {
        super::read(dir, split, source, IN_MEMORY)
    }

    fn any() -> Source {
        Source::new(&IMAGE_FOLDER, None)
    }

    /// A kind with classes, for images of 2x2.
    fn cifar() -> Source {
        Source {
            image_size: Some([2, 2]),
            ..Source::new(&CIFAR10, None)
        }
    }

    fn write(dir: &Path, path: &str, [width, height]: [u32; 2], colour: [u8; 3]) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        ImageBuffer::from_pixel(width, height, Rgb(colour))
            .save(path)
            .unwrap();
    }

    fn message(dir: &Path, split: Split, source: &Source) -> String {
        let message = read(dir, split, source).unwrap_err().to_string();
        message.replace(&format!("{}/", dir.display()), "")
    }

    #[test]
    fn images_come_in_class_and_name_order_as_red_green_blue() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train/dog/2.png", [3, 2], [4, 5, 6]);
        write(dir.path(), "train/dog/10.png", [3, 2], [1, 2, 3]);
        write(dir.path(), "train/cat/x.jpg", [3, 2], [255, 0, 0]);
        write(dir.path(), "train/cat/x.png", [3, 2], [7, 8, 9]);
        write(dir.path(), "test/dog/only.png", [3, 2], [0, 0, 1]);
        fs::write(dir.path().join("train/.DS_Store"), "x").unwrap();

        let train = read(dir.path(), Split::Train, &any()).unwrap();
        assert_eq!(train.shape, [3, 2, 3]);
        assert_eq!(train.classes, ["cat", "dog"]);
        assert_eq!(train.labels, [0, 0, 1, 1]);
        assert_eq!(train.names, ["x", "x.png", "10", "2"]);
        let Pixels::U8(pixels) = &train.pixels else {
            panic!("files hold bytes")
        };
        let planes: Vec<u8> = pixels.chunks(6).map(|plane| plane[0]).collect();
        assert!(
            planes[0] > 250 && planes[1] < 5 && planes[2] < 5,
            "a red JPEG: {planes:?}"
        );
        assert_eq!(planes[3..], [7, 8, 9, 1, 2, 3, 4, 5, 6]);

        // The test split lacks a class: the other keeps the label that it has in training.
        let test = read(dir.path(), Split::Test, &any()).unwrap();
        assert_eq!((test.labels, test.classes.len()), (vec![1], 2));

        let limited = read(
            dir.path(),
            Split::Train,
            &Source {
                limit: Some(2),
                ..any()
            },
        )
        .unwrap();
        assert_eq!(limited, train.limit(2));
        assert_eq!(limited.labels, [0, 1]);
    }

    #[test]
    fn a_flat_folder_is_a_test_split() {
        let dir = tempfile::tempdir().unwrap();
        for class in CIFAR10.classes.unwrap() {
            write(dir.path(), &format!("{class}/1.png"), [2, 2], [9, 9, 9]);
        }
        let set = read(dir.path(), Split::Test, &cifar()).unwrap();
        assert!(set.labels.iter().copied().eq(0..10));
        assert!(message(dir.path(), Split::Train, &cifar()).contains("serve as a test split only"));

        write(dir.path(), "lorry/1.png", [2, 2], [9, 9, 9]);
        assert_eq!(
            message(dir.path(), Split::Test, &cifar()),
            "lorry: not one of the classes of this kind of data (airplane, automobile, bird, cat, deer, dog, frog, \
             horse, ship, truck); rename or remove that folder"
        );
    }

    #[test]
    fn a_class_without_a_folder_is_an_error_where_the_kind_has_it() {
        let dir = tempfile::tempdir().unwrap();
        for class in CIFAR10
            .classes
            .unwrap()
            .iter()
            .filter(|&&class| class != "frog")
        {
            write(dir.path(), &format!("train/{class}/1.png"), [2, 2], [9; 3]);
        }
        assert_eq!(
            message(dir.path(), Split::Train, &cifar()),
            "train: no folder of frog; this kind of data has the classes airplane, automobile, bird, cat, deer, dog, \
             frog, horse, ship, truck: put images of each there, or set data.kind = \"image-folder\" for other classes"
        );
        assert_eq!(
            read(dir.path(), Split::Train, &any())
                .unwrap()
                .classes
                .len(),
            9
        );
    }

    #[test]
    fn images_without_a_class_and_a_single_class_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train/a/1.png", [2, 2], [9; 3]);
        assert_eq!(
            message(dir.path(), Split::Train, &any()),
            "train: the only class folder is a; a classifier needs two classes or more, each in a folder of its own"
        );
        write(dir.path(), "train/b/1.png", [2, 2], [9; 3]);
        assert!(read(dir.path(), Split::Train, &any()).is_ok());
        fs::write(dir.path().join("train/labels.txt"), "a b").unwrap();
        assert!(read(dir.path(), Split::Train, &any()).is_ok());
        write(dir.path(), "train/2.png", [2, 2], [9; 3]);
        assert_eq!(
            message(dir.path(), Split::Train, &any()),
            "train/2.png: an image beside the class folders belongs to no class; move it into the folder of its class \
             or remove it"
        );
    }

    /// A viewer shows such a file with grey in place of what is missing.
    #[test]
    fn a_jpeg_that_breaks_off_or_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "test/a/1.png", [4, 4], [0; 3]);
        let path = dir.path().join("test/b/1.jpg");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for grey in [false, true] {
            let noise = |x: u32, y: u32| (x * 37 + y * 91 + x * y * 13) as u8;
            let picture = image::RgbImage::from_fn(4, 4, |x, y| Rgb([noise(x, y), noise(y, x), 7]));
            match grey {
                true => image::DynamicImage::from(picture).to_luma8().save(&path),
                false => picture.save(&path),
            }
            .unwrap();
            assert!(read(dir.path(), Split::Test, &any()).is_ok());
            let whole = fs::read(&path).unwrap();
            for missing in 1..12 {
                fs::write(&path, &whole[..whole.len() - missing]).unwrap();
                let message = message(dir.path(), Split::Test, &any());
                assert!(
                    message.starts_with("test/b/1.jpg: cannot be read as a PNG or JPEG image ("),
                    "{missing} bytes are missing: {message}"
                );
                assert_eq!(message.lines().count(), 1, "{message}");
            }
            // What other programs append is no part of the image.
            fs::write(&path, [&whole[..], b"appended"].concat()).unwrap();
            assert!(read(dir.path(), Split::Test, &any()).is_ok());
        }
    }

    #[test]
    fn grey_is_one_channel() {
        let dir = tempfile::tempdir().unwrap();
        for class in MNIST.classes.unwrap() {
            write(dir.path(), &format!("test/{class}/a.png"), [2, 2], [9; 3]);
        }
        image::GrayImage::from_fn(2, 2, |x, y| image::Luma([(10 * y + x) as u8]))
            .save(dir.path().join("test/7/a.png"))
            .unwrap();
        let digits = Source {
            image_size: Some([2, 2]),
            ..Source::new(&MNIST, None)
        };
        let set = read(dir.path(), Split::Test, &digits).unwrap();
        assert_eq!(set.shape, [1, 2, 2]);
        let Pixels::U8(pixels) = &set.pixels else {
            panic!("files hold bytes")
        };
        assert_eq!(
            pixels[24..],
            [9, 9, 9, 9, 0, 1, 10, 11, 9, 9, 9, 9, 9, 9, 9, 9]
        );
    }

    #[test]
    fn faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "train/a/1.png", [4, 4], [0; 3]);
        write(root, "train/a/2.png", [4, 5], [0; 3]);
        write(root, "train/c/1.png", [4, 4], [0; 3]);
        assert_eq!(
            message(root, Split::Train, &any()),
            "train/a/2.png: the image is 4x5 pixels, 4x4 was expected; all images must have the same size, set \
             data.resize or remove it"
        );
        let sized = Source {
            image_size: Some([5, 4]),
            ..any()
        };
        assert!(
            message(root, Split::Train, &sized)
                .starts_with("train/a/1.png: the image is 4x4 pixels, 4x5 was")
        );
        assert_eq!(
            message(root, Split::Test, &any()),
            "test: no such folder; put the test images into test/<class>"
        );

        fs::write(root.join("train/a/2.png"), "not an image at all").unwrap();
        assert_eq!(
            message(root, Split::Train, &any()),
            "train/a/2.png: cannot be read as a PNG or JPEG image (its content is neither); replace or remove the file"
        );
        let whole = fs::read(root.join("train/a/1.png")).unwrap();
        fs::write(root.join("train/a/2.png"), &whole[..whole.len() / 2]).unwrap();
        let cut = message(root, Split::Train, &any());
        assert!(
            cut.starts_with("train/a/2.png: cannot be read as a PNG or JPEG image ("),
            "{cut}"
        );

        fs::rename(root.join("train/a/2.png"), root.join("train/a/2.bmp")).unwrap();
        assert_eq!(
            message(root, Split::Train, &any()),
            "train/a/2.bmp: only PNG and JPEG files (.png, .jpg, .jpeg) belong into a class folder; convert or \
             remove it"
        );
        fs::remove_file(root.join("train/a/2.bmp")).unwrap();
        fs::create_dir(root.join("train/b")).unwrap();
        assert_eq!(
            message(root, Split::Train, &any()),
            "train/b: the class folder is empty; put the images of the class there or remove the folder"
        );
        fs::create_dir(root.join("test")).unwrap();
        assert!(
            message(root, Split::Test, &any())
                .starts_with("test: no class folders; put the images")
        );
        write(root, "test/d/1.png", [4, 4], [0; 3]);
        assert_eq!(
            message(root, Split::Test, &any()),
            "test/d: not one of the folders in train (a, b, c); rename or remove that folder"
        );
    }

    /// A header alone must not make the program allocate what it announces.
    #[test]
    fn a_huge_image_is_refused_by_its_header() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "test/a/1.png", [4, 4], [0; 3]);
        write(dir.path(), "test/b/1.png", [4, 4], [0; 3]);
        let path = dir.path().join("test/a/1.png");
        let mut bytes = fs::read(&path).unwrap();
        bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        fs::write(&path, bytes).unwrap();
        let message = message(dir.path(), Split::Test, &any());
        assert!(
            message.starts_with("test/a/1.png: cannot be read as a PNG or JPEG image ("),
            "{message}"
        );
    }
}
