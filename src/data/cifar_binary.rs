//! CIFAR's binary files: records of some bytes of labels and then 1024 red, 1024 green, 1024 blue values.

use super::cifar::{IMAGE_LEN, Read as Found};
use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Adds the first `wanted` images and labels of one file.
pub(super) fn append(
    path: &Path,
    label_bytes: usize,
    classes: usize,
    wanted: usize,
    read: &mut Found,
) -> Result<()> {
    let record_len = label_bytes + IMAGE_LEN;
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    if length == 0 || length % record_len as u64 != 0 {
        return Err(Error::failed(format!(
            "{}: {length} bytes are not a whole number of {record_len}-byte records; the file is truncated or damaged, \
             fetch it again",
            path.display(),
        )));
    }
    let records = usize::try_from(length / record_len as u64).unwrap_or(usize::MAX);
    let mut record = vec![0u8; record_len];
    let mut reader = std::io::BufReader::with_capacity(64 * record_len, &mut file);
    for position in 0..records.min(wanted) {
        reader
            .read_exact(&mut record)
            .map_err(Error::io("read", path))?;
        let label = record[label_bytes - 1];
        if usize::from(label) >= classes {
            return Err(Error::failed(format!(
                "{}: label {label} of record {position} is not a class, 0 to {} was expected; the file is of another set \
                 or damaged, fetch it again",
                path.display(),
                classes.saturating_sub(1),
            )));
        }
        read.labels.push(u32::from(label));
        read.pixels.extend_from_slice(&record[label_bytes..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{CIFAR10, Dataset, Source, Split, load};

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

    fn read(dir: &Path, split: Split, limit: Option<usize>) -> Result<Dataset> {
        let source = Source {
            limit,
            ..Source::new(&CIFAR10, Some(dir))
        };
        load(&source, split)
    }

    #[test]
    fn batches_are_read_in_order() {
        let dir = folder();
        let train = read(dir.path(), Split::Train, None).unwrap();
        assert_eq!(train.labels, [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
        let mut image = vec![0.0; IMAGE_LEN];
        train.image_f32(2, &mut image).unwrap();
        assert_eq!(
            (image[0], image[1024], image[3071]),
            (20.0 / 255.0, 21.0 / 255.0, 22.0 / 255.0)
        );
        assert_eq!(
            read(dir.path(), Split::Train, Some(3)).unwrap(),
            train.limit(3)
        );
        let test = read(dir.path(), Split::Test, None).unwrap();
        assert_eq!(
            (test.labels, test.names),
            (vec![3], vec!["test-000000".to_string()])
        );
    }

    #[test]
    fn faults_are_named() {
        let dir = folder();
        let inner = dir.path().join("cifar-10-batches-bin");
        let second = inner.join("data_batch_2.bin");
        let message = |split| read(dir.path(), split, None).unwrap_err().to_string();

        std::fs::write(&second, &record(1, 1)[..3000]).unwrap();
        assert_eq!(
            message(Split::Train),
            format!(
                "{}: 3000 bytes are not a whole number of 3073-byte records; the file is truncated or damaged, fetch it \
                 again",
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
