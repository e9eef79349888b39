//! CIFAR-10's binary files: records of 3073 bytes, a label and then 1024 red, 1024 green, 1024 blue values.

use super::{Dataset, Pixels, Split};
use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The classes in the order of their labels, which is also the alphabetical one.
pub const CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];
/// Channels, height, width.
pub const SHAPE: [usize; 3] = [3, 32, 32];
pub(super) const IMAGE_LEN: usize = 3 * 32 * 32;
const RECORD_LEN: usize = 1 + IMAGE_LEN;
const RECORDS_A_FILE: usize = 10_000;

/// The folder inside `dir` that holds binary batches: itself, or `cifar-10-batches-bin`, the archive's own.
pub fn find(dir: &Path) -> Option<PathBuf> {
    [dir.to_path_buf(), dir.join("cifar-10-batches-bin")]
        .into_iter()
        .find(|folder| {
            let mut names = file_names(Split::Train);
            names.extend(file_names(Split::Test));
            names.iter().any(|name| folder.join(name).is_file())
        })
}

/// Reads one split: `data_batch_1.bin` to `data_batch_5.bin`, or `test_batch.bin`. With a limit, no more records than
/// that are read.
pub fn read(dir: &Path, split: Split, limit: Option<usize>) -> Result<Dataset> {
    let limit = limit.unwrap_or(usize::MAX);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for name in file_names(split) {
        if labels.len() >= limit {
            break;
        }
        read_file(&dir.join(name), limit, &mut pixels, &mut labels)?;
    }
    Ok(dataset(split, pixels, labels))
}

pub(super) fn dataset(split: Split, pixels: Vec<u8>, labels: Vec<u32>) -> Dataset {
    Dataset {
        shape: SHAPE,
        pixels: Pixels::U8(pixels),
        names: split.example_names(labels.len()),
        labels,
        classes: CLASSES.map(String::from).to_vec(),
    }
}

/// The files of a split.
pub(super) fn file_names(split: Split) -> Vec<String> {
    match split {
        Split::Train => (1..=5)
            .map(|batch| format!("data_batch_{batch}.bin"))
            .collect(),
        Split::Test => vec!["test_batch.bin".to_string()],
    }
}

fn read_file(path: &Path, limit: usize, pixels: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<()> {
    if !path.is_file() {
        return Err(Error::failed(format!(
            "{}: not found; unpack all of cifar-10-binary.tar.gz: data_batch_1.bin to data_batch_5.bin and \
             test_batch.bin",
            path.display(),
        )));
    }
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    if length == 0 || length % RECORD_LEN as u64 != 0 {
        return Err(Error::failed(format!(
            "{}: {length} bytes are not a whole number of {RECORD_LEN}-byte records ({} bytes, \
             {RECORDS_A_FILE} records, were expected); the file is truncated or damaged, fetch it again",
            path.display(),
            RECORDS_A_FILE * RECORD_LEN,
        )));
    }
    let records = usize::try_from(length / RECORD_LEN as u64).unwrap_or(usize::MAX);
    let wanted = records.min(limit - labels.len());
    let mut record = [0u8; RECORD_LEN];
    let mut reader = std::io::BufReader::with_capacity(64 * RECORD_LEN, &mut file);
    for position in 0..wanted {
        reader
            .read_exact(&mut record)
            .map_err(Error::io("read", path))?;
        let label = record[0];
        if usize::from(label) >= CLASSES.len() {
            return Err(Error::failed(format!(
                "{}: label {label} of record {position} is not a class, 0 to 9 was expected; this is no CIFAR-10 \
                 binary file (CIFAR-100 has other records) or it is damaged, fetch it again",
                path.display(),
            )));
        }
        labels.push(u32::from(label));
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, shade: u8) -> Vec<u8> {
        let mut bytes = vec![label];
        bytes.extend((0..IMAGE_LEN).map(|i| shade.wrapping_add((i / 1024) as u8)));
        bytes
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&inner).unwrap();
        for batch in 1..=5u8 {
            let bytes = [record(batch, 10 * batch), record(9, 200)].concat();
            std::fs::write(inner.join(format!("data_batch_{batch}.bin")), bytes).unwrap();
        }
        std::fs::write(inner.join("test_batch.bin"), record(3, 0)).unwrap();
        dir
    }

    #[test]
    fn batches_are_read_in_order() {
        let dir = folder();
        let inner = find(dir.path()).unwrap();
        let train = read(&inner, Split::Train, None).unwrap();
        assert_eq!(train.labels, [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
        let mut image = vec![0.0; IMAGE_LEN];
        train.image_f32(2, &mut image);
        assert_eq!(
            (image[0], image[1024], image[3071]),
            (20.0 / 255.0, 21.0 / 255.0, 22.0 / 255.0)
        );
        assert_eq!(read(&inner, Split::Train, Some(3)).unwrap(), train.limit(3));
        let test = read(&inner, Split::Test, None).unwrap();
        assert_eq!(
            (test.labels, test.names),
            (vec![3], vec!["test-000000".to_string()])
        );
    }

    #[test]
    fn faults_are_named() {
        let dir = folder();
        let inner = find(dir.path()).unwrap();
        let second = inner.join("data_batch_2.bin");
        let message = |split| read(&inner, split, None).unwrap_err().to_string();

        std::fs::write(&second, &record(1, 1)[..3000]).unwrap();
        assert_eq!(
            message(Split::Train),
            format!(
                "{}: 3000 bytes are not a whole number of 3073-byte records (30730000 bytes, 10000 records, were \
                 expected); the file is truncated or damaged, fetch it again",
                second.display()
            )
        );
        std::fs::write(&second, record(10, 1)).unwrap();
        assert!(
            message(Split::Train).contains("data_batch_2.bin: label 10 of record 0 is not a class")
        );
        std::fs::remove_file(&second).unwrap();
        assert!(
            message(Split::Train)
                .contains("data_batch_2.bin: not found; unpack all of cifar-10-binary.tar.gz")
        );
        std::fs::write(inner.join("test_batch.bin"), []).unwrap();
        assert!(message(Split::Test).contains("test_batch.bin: 0 bytes are not a whole number"));
    }
}
