//! MNIST (LeCun et al., 1998).

use super::download::{Archive, Content, Part};
use super::idx::Idx;
use super::image_folder::ClassFolders;
use super::source::{DataKind, Images, Statistics};

pub static MNIST: DataKind = DataKind {
    name: "mnist",
    about: "MNIST: handwritten digits, 28x28 in grey, ten classes",
    shape: Some([1, 28, 28]),
    classes: Some(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    statistics: Some(Statistics {
        mean: &[0.1307],
        std: &[0.3081],
    }),
    images: Images::Files {
        formats: &[&Idx, &ClassFolders],
        files: "MNIST's four IDX files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, \
                t10k-labels-idx1-ubyte, plain or with .gz",
    },
    downloads: Some(downloads),
};

const MIRRORS: [&str; 3] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
];

fn downloads() -> Vec<Part> {
    [
        (
            "train-images-idx3-ubyte",
            9_912_422,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            47_040_016,
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        (
            "train-labels-idx1-ubyte",
            28_881,
            "d53e105ee54ea40749a09fcbcd1e9432",
            60_008,
            "a25bea736e30d166cdddb491f175f624",
        ),
        (
            "t10k-images-idx3-ubyte",
            1_648_877,
            "9fb629c4189551a2d022fa330f9573f3",
            7_840_016,
            "2646ac647ad5339dbf082846283269ea",
        ),
        (
            "t10k-labels-idx1-ubyte",
            4_542,
            "ec29112dd5afa0611ce80d1b7f02629c",
            10_008,
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ]
    .into_iter()
    .map(|(file, bytes, md5, content_bytes, content_md5)| {
        let content = Content::Gzip {
            md5: content_md5.to_owned(),
            bytes: content_bytes,
        };
        Part {
            forms: vec![Archive::new(
                &format!("{file}.gz"),
                md5,
                bytes,
                content,
                &MIRRORS,
            )],
        }
    })
    .collect()
}
