//! SVHN (Netzer et al., 2011), the cropped digits: `train_32x32.mat` and `test_32x32.mat`, MATLAB's format of version 5,
//! in which `X` is bytes of shape 32x32x3xN in column order (rows, columns, channels, images), and `y` N labels, where 10 means
//! the digit 0.

use super::download::{Archive, Content, Part};
use super::image_folder::ClassFolders;
use super::matlab::{self, Array};
use super::source::{DataKind, Format, Images, Source, Statistics};
use super::{Dataset, Pixels, Split};
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

pub static SVHN: DataKind = DataKind {
    name: "svhn",
    about: "SVHN, cropped digits: house numbers, 32x32 in colour, ten classes",
    shape: Some([3, 32, 32]),
    classes: Some(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    // Of the training images, to four digits.
    statistics: Some(Statistics {
        mean: &[0.4377, 0.4438, 0.4728],
        std: &[0.1980, 0.2010, 0.1970],
    }),
    images: Images::Files {
        formats: &[&Mat, &ClassFolders],
        files: "train_32x32.mat and test_32x32.mat, or images as train/<class>/*.png and test/<class>/*.png (or .jpg)",
    },
    downloads: Some(downloads),
};

fn downloads() -> Vec<Part> {
    let mirrors = ["http://ufldl.stanford.edu/housenumbers/"];
    let part = |split, md5, bytes| Part {
        forms: vec![Archive::new(
            file_name(split),
            md5,
            bytes,
            Content::Plain,
            &mirrors,
        )],
    };
    vec![
        part(
            Split::Train,
            "e26dedcc434d2e4c54c9b2d4a06d8373",
            182_040_794,
        ),
        part(Split::Test, "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
    ]
}

fn file_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train_32x32.mat",
        Split::Test => "test_32x32.mat",
    }
}

struct Mat;

impl Format for Mat {
    fn name(&self) -> &'static str {
        "SVHN's MATLAB files"
    }

    fn find(&self, dir: &Path) -> Option<PathBuf> {
        let mut splits = [Split::Train, Split::Test].into_iter();
        let found = splits.any(|split| dir.join(file_name(split)).is_file());
        found.then(|| dir.to_path_buf())
    }

    fn files(&self, folder: &Path, split: Split) -> Vec<PathBuf> {
        let path = folder.join(file_name(split));
        path.is_file().then_some(path).into_iter().collect()
    }

    fn read(&self, folder: &Path, split: Split, source: &Source) -> Result<Dataset> {
        let path = folder.join(file_name(split));
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        let classes = source.kind.class_names().unwrap_or_default();
        dataset(BufReader::new(file), length, split, classes).map_err(|fault| {
            Error::failed(format!(
                "{}: {fault}; the file is damaged or none of SVHN's cropped digits, fetch it again",
                path.display()
            ))
        })
    }
}

fn dataset(
    file: impl Read,
    length: u64,
    split: Split,
    classes: Vec<String>,
) -> Result<Dataset, String> {
    let arrays = matlab::read(file, length, b"Xy")?;
    let images = arrays.get(&b'X').ok_or("it has no array `X`")?;
    let labels = arrays.get(&b'y').ok_or("it has no array `y`")?;
    let labels = digits(labels)?;
    match (&images.shape[..], images.bytes()) {
        (&[rows, columns, channels, count], Some(bytes)) if count == labels.len() && count > 0 => {
            let plane = rows * columns;
            // From columns to rows, plane by plane.
            let mut pixels = vec![0; bytes.len()];
            let planes = bytes.chunks_exact(plane.max(1));
            for (from, to) in planes.zip(pixels.chunks_exact_mut(plane.max(1))) {
                for (at, value) in from.iter().enumerate() {
                    to[at % rows * columns + at / rows] = *value;
                }
            }
            Ok(Dataset {
                shape: [channels, rows, columns],
                pixels: Pixels::U8(pixels.into()),
                names: split.example_names(count),
                labels,
                classes,
            })
        }
        _ => Err(format!(
            "its `X` has shape {:?}, bytes of shape [32, 32, 3, {}] were expected",
            images.shape,
            labels.len()
        )),
    }
}

/// The labels as digits.
fn digits(labels: &Array) -> Result<Vec<u32>, String> {
    let digit = |(position, number): (usize, f64)| match (1..=10).find(|&n| f64::from(n) == number)
    {
        Some(label) => Ok(label % 10),
        None => Err(format!("label {position} of its `y` is not one of 1 to 10")),
    };
    labels.numbers().enumerate().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load;
    use crate::data::matlab::tests::{file, matrix, packed};
    use std::fs;

    const BYTES: u32 = 2;

    fn read(bytes: &[u8]) -> Result<Dataset, String> {
        dataset(bytes, bytes.len() as u64, Split::Test, Vec::new())
    }

    /// Two images of 2 rows, 3 columns and 1 channel, whose columns lie one after the other.
    fn images() -> Vec<u8> {
        matrix(
            b'X',
            &[2, 3, 1, 2],
            (BYTES, &[0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15]),
        )
    }

    #[test]
    fn columns_become_rows_and_ten_becomes_zero() {
        let labels = matrix(b'y', &[2, 1], (BYTES, &[10, 3]));
        let wide: Vec<u8> = [10f64, 3.0].iter().flat_map(|y| y.to_le_bytes()).collect();
        let wide = matrix(b'y', &[2, 1], (9, &wide));
        let other = matrix(b'z', &[2, 1], (BYTES, &[1, 1]));
        for elements in [
            vec![packed(&images()), packed(&labels)],
            vec![packed(&wide), packed(&other), packed(&images())],
            vec![images(), other.clone(), wide.clone()],
        ] {
            let set = read(&file(&elements)).unwrap();
            assert_eq!((set.shape, &set.labels[..]), ([1, 2, 3], &[0, 3][..]));
            let rows = vec![0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15];
            assert_eq!(set.pixels, Pixels::U8(rows.into()));
        }
    }

    #[test]
    fn faults_are_named() {
        let labels = |numbers: &[u8]| matrix(b'y', &[numbers.len() as u32, 1], (BYTES, numbers));
        let fault = |elements: &[Vec<u8>]| read(&file(elements)).unwrap_err();
        assert_eq!(fault(&[images()]), "it has no array `y`");
        assert_eq!(fault(&[labels(&[1])]), "it has no array `X`");
        assert_eq!(
            fault(&[images(), labels(&[1, 11])]),
            "label 1 of its `y` is not one of 1 to 10"
        );
        assert_eq!(
            fault(&[images(), labels(&[1])]),
            "its `X` has shape [2, 3, 1, 2], bytes of shape [32, 32, 3, 1] were expected"
        );
    }

    /// Written by scipy, see tests/parity/make_data_fixtures.py.
    #[test]
    fn a_file_of_another_writer_is_read() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/svhn");
        let set = load(&Source::new(&SVHN, Some(&fixture)), Split::Test).unwrap();
        assert_eq!((set.shape, &set.labels[..]), ([3, 32, 32], &[1, 0, 7][..]));
        let Pixels::U8(pixels) = &set.pixels else {
            panic!("the file holds bytes")
        };
        for (at, &pixel) in pixels.iter().enumerate() {
            let (image, channel, row, column) = (at / 3072, at / 1024 % 3, at / 32 % 32, at % 32);
            let expected = (row + 3 * column + 50 * channel + 40 * image) % 256;
            assert_eq!(usize::from(pixel), expected, "{at}");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train_32x32.mat"), [0; 200]).unwrap();
        let fault = load(&Source::new(&SVHN, Some(dir.path())), Split::Train);
        let fault = fault.unwrap_err().to_string();
        assert!(
            fault.contains("train_32x32.mat: it is no little-endian MATLAB file"),
            "{fault}"
        );
    }
}
