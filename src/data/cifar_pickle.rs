//! CIFAR's Python files: pickled dicts with `data`, an array of bytes (N, 3072), and a list of labels.

use super::cifar::{IMAGE_LEN, Read};
use crate::weights::pickle::{Node, Pickle};

/// Adds the images and labels of one file.
pub(super) fn append(
    bytes: &[u8],
    labels: &str,
    classes: usize,
    read: &mut Read,
) -> Result<(), String> {
    let pickle = Pickle::parse(bytes)?;
    let entry = |key: &str| {
        pickle
            .get(pickle.root(), key)
            .ok_or_else(|| format!("it has no `{key}`"))
    };

    let items = pickle
        .node(entry(labels)?)
        .as_items()
        .ok_or_else(|| format!("its `{labels}` are not a list"))?;
    for (position, &item) in items.iter().enumerate() {
        let label = pickle.node(item).as_size().filter(|&label| label < classes);
        let label = label.ok_or_else(|| {
            let last = classes.saturating_sub(1);
            format!("label {position} is not a class, 0 to {last} was expected")
        })?;
        read.labels.push(label as u32);
    }

    let count = items.len();
    let Node::Array(Some(array)) = pickle.node(entry("data")?) else {
        return Err("its `data` is not a numpy array".to_string());
    };
    let of_bytes =
        matches!(pickle.node(array.dtype), Node::NumpyDtype { code, .. } if code == "u1");
    if !of_bytes || array.shape != [count, IMAGE_LEN] || count == 0 {
        return Err(format!(
            "its `data` is an array of shape {:?}, bytes of shape [{count}, {IMAGE_LEN}] were expected for its {count} \
             labels",
            array.shape,
        ));
    }
    let Node::Bytes(data) = pickle.node(array.data) else {
        return Err("the array's content is not bytes".to_string());
    };
    if data.len() != count * IMAGE_LEN {
        return Err(format!(
            "its `data` has {} bytes, {} were expected",
            data.len(),
            count * IMAGE_LEN
        ));
    }
    if array.fortran {
        read.pixels
            .extend((0..count).flat_map(|row| data.iter().skip(row).step_by(count)));
    } else {
        read.pixels.extend_from_slice(data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{CIFAR10, Dataset, Pixels, Source, Split, load};
    use std::path::Path;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
        std::fs::read(folder.join(name)).unwrap()
    }

    /// The pixels of the fixtures: image after image, counting modulo 251.
    fn counting(images: usize) -> Vec<u8> {
        (0..images * IMAGE_LEN)
            .map(|value| (value % 251) as u8)
            .collect()
    }

    /// A batch as Python 2 wrote it (protocol 2, its strings are bytes): the form of the published files.
    fn python2(labels: &[u8], fortran: bool) -> Vec<u8> {
        let images = labels.len();
        let rows = counting(images);
        let data: Vec<u8> = if fortran {
            (0..rows.len())
                .map(|at| rows[at % images * IMAGE_LEN + at / images])
                .collect()
        } else {
            rows
        };
        let mut bytes =
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03".to_vec();
        bytes.extend(b"U\x06labelsq\x04]q\x05(");
        labels.iter().for_each(|&label| bytes.extend([b'K', label]));
        bytes.extend(b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\x09");
        bytes.extend(b"U\x01bq\x0a\x87q\x0bRq\x0c(K\x01K");
        bytes.push(images as u8);
        bytes.extend(b"M\x00\x0c\x86q\x0dcnumpy\ndtype\nq\x0eU\x02u1K\x00K\x01\x87q\x0fRq\x10");
        bytes.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xff");
        bytes.extend(b"J\xff\xff\xff\xffK\x00tb");
        bytes.push(if fortran { 0x88 } else { 0x89 });
        bytes.push(b'T');
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes.extend(b"tbu.");
        bytes
    }

    fn read(dir: &Path, split: Split, limit: Option<usize>) -> crate::Result<Dataset> {
        let source = Source {
            limit,
            ..Source::new(&CIFAR10, Some(dir))
        };
        load(&source, split)
    }

    fn folder(batch: impl Fn(usize) -> Vec<u8>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("cifar-10-batches-py");
        std::fs::create_dir(&inner).unwrap();
        for number in 1..=5 {
            std::fs::write(inner.join(format!("data_batch_{number}")), batch(number)).unwrap();
        }
        std::fs::write(inner.join("test_batch"), batch(0)).unwrap();
        dir
    }

    #[test]
    fn every_form_of_pickle_gives_the_same() {
        for batch in [
            fixture("cifar_protocol2"),
            fixture("cifar_protocol4"),
            python2(&[6, 9], false),
            python2(&[6, 9], true),
        ] {
            let dir = folder(|_| batch.clone());
            let test = read(dir.path(), Split::Test, None).unwrap();
            assert_eq!((test.shape, &test.labels[..]), ([3, 32, 32], &[6, 9][..]));
            assert_eq!(test.pixels, Pixels::U8(counting(2).into()));
            assert_eq!(test.names[1], "test-000001");
        }
    }

    #[test]
    fn batches_are_read_in_order_and_no_further_than_the_limit() {
        let dir = folder(|number| python2(&[number as u8, 9], false));
        let inner = dir.path().join("cifar-10-batches-py");
        let train = read(dir.path(), Split::Train, None).unwrap();
        assert_eq!(train.labels, [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
        std::fs::remove_file(inner.join("data_batch_3")).unwrap();
        assert_eq!(
            read(dir.path(), Split::Train, Some(3)).unwrap(),
            train.limit(3)
        );
        let message = read(dir.path(), Split::Train, None)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("data_batch_3: not found; unpack all of cifar-10-python.tar.gz"),
            "{message}"
        );
    }

    #[test]
    fn faults_are_named() {
        let fault = |bytes: &[u8]| append(bytes, "labels", 10, &mut Read::default()).unwrap_err();
        let good = python2(&[6, 9], false);
        assert!(append(&good, "labels", 10, &mut Read::default()).is_ok());
        assert_eq!(
            fault(&good[..good.len() - 9]),
            "its pickle breaks off (pickle instruction 0x54 at byte 208)"
        );
        assert_eq!(
            fault(&python2(&[6, 10], false)),
            "label 1 is not a class, 0 to 9 was expected"
        );
        assert_eq!(fault(b"\x80\x02}."), "it has no `labels`");
        assert_eq!(fault(b"\x80\x02}(U\x06labels]u."), "it has no `data`");
        assert_eq!(
            fault(b"\x80\x02}(U\x06labels]U\x04dataNu."),
            "its `data` is not a numpy array"
        );
        let mut fewer = good.clone();
        let at = fewer
            .windows(4)
            .position(|bytes| bytes == b"K\x06K\x09")
            .unwrap();
        fewer.drain(at..at + 2);
        assert_eq!(
            fault(&fewer),
            "its `data` is an array of shape [2, 3072], bytes of shape [1, 3072] were expected for its 1 labels"
        );
        assert!(
            fault(b"\x80\x02cos\nsystem\n.").contains("refers to the Python object `os.system`")
        );

        let dir = folder(|_| vec![b'x'; 10]);
        let message = read(dir.path(), Split::Test, None).unwrap_err().to_string();
        assert!(
            message.contains("test_batch: cannot be read as one of CIFAR-10's Python batches: "),
            "{message}"
        );
        assert!(message.ends_with("; fetch the file again"), "{message}");
    }
}
