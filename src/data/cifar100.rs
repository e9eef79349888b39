//! CIFAR-100 (Krizhevsky, 2009) by its hundred fine labels.

use super::cifar::{Batches, Form, SHAPE};
use super::download::Part;
use super::image_folder::ClassFolders;
use super::source::{DataKind, Images, Statistics};

pub static CIFAR100: DataKind = DataKind {
    name: "cifar100",
    about: "CIFAR-100: 32x32 colour images, a hundred classes (the fine labels)",
    shape: Some(SHAPE),
    // Their order is also the alphabetical one.
    #[rustfmt::skip]
    classes: Some(&[
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
        "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
        "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
        "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
        "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
        "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
        "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
        "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
        "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
        "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ]),
    // Of the training images, to four digits, as in weiaicunzai/pytorch-cifar100.
    statistics: Some(Statistics {
        mean: &[0.5071, 0.4865, 0.4409],
        std: &[0.2673, 0.2564, 0.2762],
    }),
    images: Images::Files {
        formats: &[&BINARY, &PICKLES, &ClassFolders],
        files: "one of these: train.bin and test.bin (unpacked from cifar-100-binary.tar.gz), train and test (from \
                cifar-100-python.tar.gz), or images as train/<class>/*.png and test/<class>/*.png (or .jpg)",
    },
    downloads: Some(downloads),
};

/// Each record begins with the coarse and the fine label.
static BINARY: Batches = Batches {
    name: "CIFAR-100's binary files",
    archive: "cifar-100-binary.tar.gz",
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: &["test.bin"],
    form: Form::Binary { label_bytes: 2 },
};

static PICKLES: Batches = Batches {
    name: "CIFAR-100's Python files",
    archive: "cifar-100-python.tar.gz",
    folder: "cifar-100-python",
    train: &["train"],
    test: &["test"],
    form: Form::Pickle {
        labels: "fine_labels",
    },
};

const MIRRORS: [&str; 2] = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
];

/// The binary files, or else the Python ones: the same images.
fn downloads() -> Vec<Part> {
    let binary = BINARY.archive(
        "03b5dce01913d631647c71ecec9e9cb8",
        168_513_733,
        &[50_000 * 3074, 10_000 * 3074],
        &MIRRORS,
    );
    let python = PICKLES.archive(
        "eb9058c3a382ffc7106e4002c42a8d85",
        169_001_437,
        &[155_249_918, 31_049_707],
        &MIRRORS,
    );
    vec![Part {
        forms: vec![binary, python],
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::data::{Dataset, Source, Split, load};
    use std::fs;
    use std::path::Path;

    fn read(dir: &Path, split: Split) -> Result<Dataset> {
        load(&Source::new(&CIFAR100, Some(dir)), split)
    }

    fn record(coarse: u8, fine: u8, shade: u8) -> Vec<u8> {
        [vec![coarse, fine], vec![shade; 3072]].concat()
    }

    #[test]
    fn there_are_a_hundred_classes_in_order() {
        let classes = CIFAR100.classes.unwrap();
        assert_eq!(classes.len(), 100);
        assert!(classes.is_sorted());
    }

    #[test]
    fn the_second_byte_of_a_record_is_the_label() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("cifar-100-binary");
        fs::create_dir(&inner).unwrap();
        let records = [record(19, 99, 7), record(3, 0, 9)].concat();
        fs::write(inner.join("test.bin"), &records).unwrap();
        let set = read(dir.path(), Split::Test).unwrap();
        assert_eq!((&set.labels[..], set.classes.len()), (&[99, 0][..], 100));
        let mut image = vec![0.0; 3072];
        set.image_f32(1, &mut image).unwrap();
        assert_eq!(image, [9.0 / 255.0; 3072]);

        let fault = read(dir.path(), Split::Train).unwrap_err().to_string();
        assert!(
            fault.contains("train.bin: not found; unpack all of cifar-100-binary.tar.gz"),
            "{fault}"
        );
        fs::write(inner.join("test.bin"), record(0, 100, 1)).unwrap();
        let fault = read(dir.path(), Split::Test).unwrap_err().to_string();
        assert!(
            fault.contains("label 100 of record 0 is not a class, 0 to 99 was expected"),
            "{fault}"
        );
        fs::write(inner.join("test.bin"), &records[..3073]).unwrap();
        let fault = read(dir.path(), Split::Test).unwrap_err().to_string();
        assert!(
            fault.contains("not a whole number of 3074-byte records"),
            "{fault}"
        );
    }

    #[test]
    fn pickles_have_their_labels_under_another_key() {
        let dir = tempfile::tempdir().unwrap();
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights/cifar_protocol2");
        let bytes = fs::read(fixture).unwrap();
        let file = dir.path().join("test");
        fs::write(&file, &bytes).unwrap();
        let fault = read(dir.path(), Split::Test).unwrap_err().to_string();
        assert!(
            fault.contains("CIFAR-100's Python files: it has no `fine_labels`"),
            "{fault}"
        );
        let (short, long) = (b"X\x06\0\0\0labels", b"X\x0b\0\0\0fine_labels");
        let at = bytes
            .windows(short.len())
            .position(|part| part == short)
            .unwrap();
        let renamed = [&bytes[..at], &long[..], &bytes[at + short.len()..]].concat();
        fs::write(&file, renamed).unwrap();
        assert_eq!(read(dir.path(), Split::Test).unwrap().labels, [6, 9]);
    }
}
